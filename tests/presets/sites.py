"""Settings and models of a shop and of pages that register what docs/presets.md says."""

COMMON = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "test"
DEBUG = True
USE_TZ = True
SITE_ID = 1
ALLOWED_HOSTS = ["*"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = BASE_DIR / "media"
ROOT_URLCONF = "urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
    "context_processors": ["django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages"]}}]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware"]
LLMREC = {"ENCODER": "llmrec_plugin.encoders.hashing", "TASKS": "process"}
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
    "rest_framework", "drf_spectacular", "llmrec_plugin"]
"""

OSCAR_SETTINGS = (
    COMMON
    + """
from oscar.defaults import *
INSTALLED_APPS += ["django.contrib.sites", "django.contrib.flatpages", "oscar.config.Shop", "shop"]
INSTALLED_APPS += [f"oscar.apps.{path}" for path in (
    "analytics.apps.AnalyticsConfig", "checkout.apps.CheckoutConfig", "address.apps.AddressConfig",
    "shipping.apps.ShippingConfig", "catalogue.apps.CatalogueConfig",
    "catalogue.reviews.apps.CatalogueReviewsConfig", "communication.apps.CommunicationConfig",
    "partner.apps.PartnerConfig", "basket.apps.BasketConfig", "payment.apps.PaymentConfig",
    "offer.apps.OfferConfig", "order.apps.OrderConfig", "customer.apps.CustomerConfig",
    "search.apps.SearchConfig", "voucher.apps.VoucherConfig", "wishlists.apps.WishlistsConfig",
    "dashboard.apps.DashboardConfig", "dashboard.reports.apps.ReportsDashboardConfig",
    "dashboard.users.apps.UsersDashboardConfig", "dashboard.orders.apps.OrdersDashboardConfig",
    "dashboard.catalogue.apps.CatalogueDashboardConfig", "dashboard.offers.apps.OffersDashboardConfig",
    "dashboard.partners.apps.PartnersDashboardConfig", "dashboard.pages.apps.PagesDashboardConfig",
    "dashboard.ranges.apps.RangesDashboardConfig", "dashboard.reviews.apps.ReviewsDashboardConfig",
    "dashboard.vouchers.apps.VouchersDashboardConfig",
    "dashboard.communications.apps.CommunicationsDashboardConfig",
    "dashboard.shipping.apps.ShippingDashboardConfig")]
INSTALLED_APPS += ["widget_tweaks", "haystack", "treebeard", "django_tables2"]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
"""
)
OSCAR_URLS = """
from django.apps import apps
from django.urls import include, path
shop = apps.get_app_config("oscar").urls[0]
urlpatterns = [path("api/", include("llmrec_plugin.api.urls")), path("", include(shop))]
"""
OSCAR_CHECK = """
import json
from django.contrib.auth.models import User
from django.utils import timezone
from llmrec_plugin.documents import registry
from llmrec_plugin.services import recommendations
from llmrec_plugin.services.curation import configure
from llmrec_plugin.services.indexing import build, drain
from llmrec_plugin.services.interactions import latest_events, reconcile
from llmrec_plugin.services.search import search
from llmrec_plugin.types import Range, SearchRequest, Terms
from oscar.core.loading import get_model
from oscar.test import factories

Product = get_model("catalogue", "Product")
Category = get_model("catalogue", "Category")
media = Category.add_root(name="Media")
books = media.add_child(name="Books")
lamp = factories.create_product(title="Red desk lamp", price=30, num_in_stock=0)
novel = factories.create_product(title="A novel of the sea", upc="978-0140", price=12, num_in_stock=3)
novel.categories.set([books])
shirt = factories.create_product(title="Sailor shirt", structure="parent")
small = factories.create_product(title="", structure="child", parent=shirt, price=20, num_in_stock=2)
hidden = factories.create_product(title="Secret novel", price=1)
hidden.is_public = False
hidden.save()

build("product")
configure(by="the test", use_floor=False)  # hashed words resemble everything

def found(text="", *filters):
    drain()  # as cron does
    page = search(SearchRequest(document="product", text=text, filters=filters))
    return [item.title for item in page.results]

told = {
    "all": sorted(found()),
    "novel": found("novel")[0],
    "code": found("978-0140")[0],
    "media": found("", Terms(field="category", values=(str(media.pk),))),
    "in stock": sorted(found("", Terms(field="in_stock", values=(True,)))),
    "cheap": sorted(found("", Range(field="price", lte=20.0))),
    "url": registry.get("product").get_absolute_url(novel) == novel.get_absolute_url(),
}
user = User.objects.create_user("ann", "ann@example.com")
order = factories.create_order(user=user)
line = order.lines.first()
line.product = small
line.save()
source = next(one for one in registry.interaction_sources if one.model is type(line))
reconcile(source)
(event,) = latest_events(str(user.pk), document="product", limit=2)
told["bought"] = (event.key == str(shirt.pk), event.kind)
stock = lamp.stockrecords.first()
stock.num_in_stock = 5
stock.save()
variant = small.stockrecords.first()
variant.price = 9
variant.save()
books.name = "Printed matter"
books.save()
told["in stock then"] = "Red desk lamp" in found("", Terms(field="in_stock", values=(True,)))
told["cheap then"] = "Sailor shirt" in found("", Range(field="price", lte=9.0))
told["by category"] = found("printed matter")[0]
shown = recommendations.recommend("for-you", document="product", user_key=str(user.pk)).results
told["for you"] = sorted({"Red desk lamp", "Sailor shirt"} & {item.title for item in shown})
print("TOLD " + json.dumps(told))
"""

WAGTAIL_SETTINGS = (
    COMMON
    + """
INSTALLED_APPS += [f"wagtail.{name}" for name in (
    "contrib.forms", "contrib.redirects", "embeds", "sites", "users", "snippets", "documents", "images",
    "search", "admin")]
INSTALLED_APPS += ["wagtail", "modelcluster", "taggit", "django_filters", "pages"]
WAGTAIL_SITE_NAME = "Pages"
WAGTAILADMIN_BASE_URL = "http://localhost"
WAGTAIL_I18N_ENABLED = True
LANGUAGE_CODE = "en"
LANGUAGES = WAGTAIL_CONTENT_LANGUAGES = [("en", "English"), ("zh", "Chinese")]
"""
)
WAGTAIL_URLS = """
from django.urls import include, path
from wagtail import urls
urlpatterns = [path("api/", include("llmrec_plugin.api.urls")), path("", include(urls))]
"""
WAGTAIL_MODELS = """
from django.db import models
from wagtail import blocks
from wagtail.fields import StreamField
from wagtail.models import Page


class ArticlePage(Page):
    intro = models.TextField(blank=True)
    body = StreamField([("text", blocks.RichTextBlock())], blank=True)
"""
WAGTAIL_CHECK = """
import json
from llmrec_plugin.documents import registry
from llmrec_plugin.services.curation import configure
from llmrec_plugin.services.indexing import build, drain
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest, Terms
from pages.models import ArticlePage
from wagtail.models import Locale, Page, PageViewRestriction, Site

home = Site.objects.get(is_default_site=True).root_page
garden = home.add_child(instance=ArticlePage(title="Garden", slug="garden"))
kitchen = home.add_child(instance=ArticlePage(title="Kitchen", slug="kitchen"))
body = [{"type": "text", "value": "<p>Water the <b>tulips</b> in spring.</p>"}]
tulips = garden.add_child(instance=ArticlePage(title="Bulbs", intro="What to plant", body=body))
draft = garden.add_child(instance=ArticlePage(title="Unfinished roses", live=False))
chinese = home.copy_for_translation(Locale.objects.create(language_code="zh"))
chinese.title = "首页"
chinese.save()
tea = chinese.add_child(instance=ArticlePage(title="茶的文化", locale=chinese.locale))

build("article")
configure(by="the test", use_floor=False)  # hashed words resemble everything

def found(text="", *filters):
    drain()  # as cron does
    page = search(SearchRequest(document="article", text=text, filters=filters))
    return [item.title for item in page.results]

told = {
    "all": sorted(found()),
    "body": found("tulips")[0],
    "section": sorted(found("", Terms(field="section", values=("garden",)))),
    "chinese": found("", Terms(field="language", values=("zh",))),
    "url": registry.get("article").get_absolute_url(tulips),
}
draft.save_revision().publish()
told["published"] = "Unfinished roses" in found()
tulips.refresh_from_db()
tulips.unpublish()
told["unpublished"] = "Bulbs" in found()
tulips.save_revision().publish()
draft.refresh_from_db()
draft.move(kitchen, pos="last-child")
told["moved"] = found("", Terms(field="section", values=("kitchen",)))
closed = PageViewRestriction.objects.create(page=Page.objects.get(pk=garden.pk), restriction_type="login")
told["closed"] = sorted(found())
closed.delete()
told["open"] = sorted(found())
ArticlePage.objects.get(title="Bulbs").delete()
told["deleted"] = "Bulbs" in found()
print("TOLD " + json.dumps(told))
"""
