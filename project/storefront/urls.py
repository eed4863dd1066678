"""Addresses of the storefront."""

from __future__ import annotations

from django.urls import path, re_path

from project.storefront import actions, views

app_name = "storefront"
urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("shop/<int:pk>/", views.product, name="product"),
    path("school/<slug:code>/", views.course, name="course"),
    path("school/<slug:code>/enrol/", actions.enrol, name="enrol"),
    re_path(
        r"^act/(?P<document>product|course)/(?P<key>[-\w]+)/(?P<kind>cart|dismiss)/$", actions.act, name="act"
    ),
    path("you/", actions.your_data, name="your-data"),
    path("you/consent/", actions.consent, name="consent"),
    path("you/erase/", actions.erase, name="erase"),
    path("demo/view-as/", actions.view_as, name="view-as"),
]
