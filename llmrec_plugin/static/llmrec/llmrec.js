/* Reports what visitors do with lists of llmrec_plugin: what came into view, what was clicked, which page was
 * opened, and whatever else the site marks. No dependency, no cookie of its own, nothing global but `llmrec`.
 *
 *   <li data-llmrec-list="…" data-llmrec-document="product" data-llmrec-item="42" data-llmrec-position="0">
 *   <button data-llmrec-event="cart" data-llmrec-document="product" data-llmrec-item="42">
 *   llmrec.track("cart", {document: "product", item_id: 42})      llmrec.consent(true)
 *
 * Nothing is sent for a visitor who refused or whose browser asks for privacy (Global Privacy Control), nor,
 * where consent has to be given first, before it was. The server decides in any case.
 */
(() => {
  "use strict";
  const own = document.currentScript.dataset;
  const WAIT = 1500;      // ms that events wait for company
  const VISIBLE = 0.5;    // share of an item that has to be in view
  const KEPT = 50;        // clicks whose list is remembered, so that a later purchase is tied to it
  const CHUNK = 50;       // events in a request: a browser refuses more than 64 KB from a page that closes

  const store = (area, key, value) => {  // storage may be forbidden
    try {
      if (value === undefined) return JSON.parse(window[area].getItem(key));
      window[area].setItem(key, JSON.stringify(value));
    } catch { /* then nothing is remembered */ }
    return null;
  };
  const isRefused = () => navigator.globalPrivacyControl === true || store("localStorage", "llmrec.refused") === true;

  const send = async (method, url, body) => {
    const headers = {"Content-Type": "application/json"};
    if (own.csrf) headers["X-CSRFToken"] = own.csrf;
    // keepalive outlives the page; sendBeacon could not carry the token
    return fetch(url, {method, headers, body: JSON.stringify(body), keepalive: true, credentials: "same-origin"});
  };

  // Whether events may be sent; where consent has to be given first, the server is asked once per session.
  let allowed = null;
  const isAllowed = async () => {
    if (isRefused()) return false;
    if (own.mode !== "opt-in") return true;
    allowed ??= store("sessionStorage", "llmrec.personal");
    if (allowed === null) {
      const answer = await fetch(own.me, {credentials: "same-origin"});
      allowed = answer.ok && (await answer.json()).personal === true;
      store("sessionStorage", "llmrec.personal", allowed);
    }
    return allowed;
  };

  const events = [];
  const seen = new Map();
  let timer = null;

  const flush = async () => {
    clearTimeout(timer);
    timer = null;
    const sent = events.splice(0);
    const lists = [...seen].map(([request_id, positions]) => ({request_id, seen: positions}));
    seen.clear();
    if (!(sent.length || lists.length)) return;
    try {
      if (!(await isAllowed())) return;
      const requests = [];  // all at once: a page that closes waits for no answer
      for (const [url, all] of [[own.interactions, sent], [own.impressions, lists]]) {
        for (let i = 0; i < all.length; i += CHUNK) requests.push(send("POST", url, all.slice(i, i + CHUNK)));
      }
      await Promise.all(requests);
    } catch { /* offline: what a visitor did is worth no error on their page */ }
  };
  const soon = () => { timer ??= setTimeout(flush, WAIT); };

  // The list that an item was last chosen from travels along to the item's page and the basket.
  const origins = () => store("sessionStorage", "llmrec.origins") || {};
  const nameOf = (data) => `${data.llmrecDocument || ""}:${data.llmrecItem}`;
  const remember = (data) => {
    const known = origins();
    delete known[nameOf(data)];
    known[nameOf(data)] = [data.llmrecList, Number(data.llmrecPosition)];
    store("sessionStorage", "llmrec.origins", Object.fromEntries(Object.entries(known).slice(-KEPT)));
  };

  const track = (kind, {document = "", item_id, value = null, origin = null, event_id = null}) => {
    if (item_id === undefined) return console.error("llmrec.track: which item? Pass item_id.");
    const [request_id, position] = origin || origins()[`${document}:${item_id}`] || [null, null];
    events.push({kind, document, item_id: String(item_id), value, request_id, position, event_id, at: new Date().toISOString()});
    soon();
  };

  document.addEventListener("click", (event) => {
    const marked = event.target.closest?.("[data-llmrec-event]");
    if (marked) {
      const data = marked.dataset;
      track(data.llmrecEvent, {document: data.llmrecDocument, item_id: data.llmrecItem});
    }
    const item = event.target.closest?.("a, button") && event.target.closest("[data-llmrec-list]");
    if (!item || marked) return;
    const data = item.dataset;
    remember(data);
    if (own.clicks !== "off") track("click", {
      document: data.llmrecDocument,
      item_id: data.llmrecItem,
      origin: [data.llmrecList, Number(data.llmrecPosition)],
      event_id: `click:${data.llmrecList}:${data.llmrecItem}`.slice(0, 100),
    });
  }, {capture: true});  // before a handler of the page that stops the event

  const observer = "IntersectionObserver" in window && new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      observer.unobserve(entry.target);
      const {llmrecList, llmrecPosition} = entry.target.dataset;
      seen.set(llmrecList, Math.max(seen.get(llmrecList) || 0, Number(llmrecPosition) + 1));
      soon();
    }
  }, {threshold: VISIBLE});
  const watch = (root) => {
    if (observer) for (const item of root.querySelectorAll("[data-llmrec-list]")) observer.observe(item);
  };

  const consent = async (granted) => {
    store("localStorage", "llmrec.refused", !granted);
    store("sessionStorage", "llmrec.personal", null);
    allowed = null;
    return (await send("PUT", own.consent, {granted: Boolean(granted)})).ok;
  };

  watch(document);
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) {
      if (node.nodeType === Node.ELEMENT_NODE) {
        if (observer && node.matches("[data-llmrec-list]")) observer.observe(node);
        watch(node);
      }
    }
  }).observe(document.documentElement, {childList: true, subtree: true});
  addEventListener("pagehide", flush);
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") flush(); });

  if (own.viewItem) {
    const origin = origins()[`${own.viewDocument}:${own.viewItem}`];
    const id = origin && `view:${origin[0]}:${own.viewItem}`.slice(0, 100);  // loading again is no second visit
    track("view", {document: own.viewDocument, item_id: own.viewItem, event_id: id || null});
  }
  window.llmrec = Object.freeze({track, consent, flush});
})();
