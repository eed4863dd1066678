/* Completes what is typed into the search box: an ARIA combobox with a list, https://www.w3.org/WAI/ARIA/apg/patterns/combobox/.
   Without JavaScript, or where the request fails, the box is a plain form. */
"use strict";
(() => {
  const input = document.querySelector("[data-suggest]");
  if (!input) return;
  const list = document.getElementById(input.getAttribute("aria-controls"));
  const status = document.getElementById("suggest-status");
  const kind = document.getElementById("header-document");
  const WAIT = 120;
  let options = [];
  let active = -1;
  let timer = 0;
  let request = null;

  const close = () => {
    clearTimeout(timer);
    if (request) request.abort();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    choose(-1);
  };

  const choose = (place) => {
    if (options[active]) options[active].setAttribute("aria-selected", "false");
    active = place;
    if (options[active]) {
      options[active].setAttribute("aria-selected", "true");
      options[active].scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", options[active].id);
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  };

  const take = (option) => {
    if (option.dataset.url) {
      close();
      window.location.assign(option.dataset.url);
      return;
    }
    input.value = option.dataset.text;
    close();
    input.form.requestSubmit();
  };

  const row = (text, label, data) => {
    const option = document.createElement("li");
    option.id = `suggest-${options.length}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    Object.assign(option.dataset, data);
    const name = document.createElement("span");
    name.textContent = text;
    const what = document.createElement("small");
    what.textContent = label;
    option.append(name, " ", what);
    options.push(option);
    list.append(option);
  };

  const show = (found) => {
    list.replaceChildren();
    options = [];
    active = -1;
    input.removeAttribute("aria-activedescendant");
    for (const text of found.queries) row(text, list.dataset.search, { text });
    for (const item of found.items) row(item.title, list.dataset.item, item.url ? { url: item.url } : { text: item.title });
    list.hidden = !options.length;
    input.setAttribute("aria-expanded", String(options.length > 0));
    status.textContent = options.length ? status.dataset.some.replace("{count}", options.length) : status.dataset.none;
  };

  const ask = async () => {
    if (request) request.abort();
    request = new AbortController();
    const query = new URLSearchParams({ q: input.value, document: kind.value, limit: 6 });
    try {
      const response = await fetch(`${input.dataset.suggest}?${query}`, { signal: request.signal });
      if (response.ok && document.activeElement === input) show(await response.json());
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  };

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(input.value.trim() ? ask : close, WAIT);
  };

  input.addEventListener("input", (event) => {
    if (!event.isComposing) later();
  });
  input.addEventListener("compositionend", later); // pinyin keyboards type letters before characters
  input.addEventListener("blur", () => setTimeout(close, 150));
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && options[active] && !list.hidden) {
      event.preventDefault();
      take(options[active]);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) {
        if (input.value.trim()) ask();
        return;
      }
      const step = event.key === "ArrowDown" ? 1 : -1;
      const places = options.length + 1; // one of them is the box itself
      choose(((active + 1 + step + places) % places) - 1);
    }
  });
  list.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) {
      event.preventDefault();
      take(option);
    }
  });
  kind.addEventListener("change", close);
})();
