// What happens elsewhere comes in without reloading. Without this script the page is whole, as it was when it opened.
(() => {
  "use strict";

  const place = document.querySelector("[data-news]");
  if (!place || !window.EventSource) return;
  const AGAIN_MS = 30000;
  const TOGETHER_MS = 400;
  let stream = null;
  let over = false;
  let waiting = 0;
  let later = 0;
  let pending = false;

  const finish = () => {
    over = true;
    close();
    const end = document.getElementById("fin");
    if (end) end.hidden = false;
  };

  // Somebody is filling a form of the list: it is not taken from under their hands.
  const busy = () => place.contains(document.activeElement) && document.activeElement.matches("input:not([type=hidden]), select, textarea")
    || place.querySelector("form details[open]") !== null;

  const renew = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html").body.firstElementChild;
    const old = place.firstElementChild;
    if (!fresh || !old || fresh.outerHTML === old.outerHTML) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const named = focused && (focused.getAttribute("href") || focused.closest("form")?.getAttribute("action"));
    const open = old.querySelector(":scope > details")?.open;
    old.replaceWith(fresh);
    if (open && fresh.querySelector(":scope > details")) fresh.querySelector(":scope > details").open = true;
    if (named) fresh.querySelector(`a[href="${CSS.escape(named)}"], form[action="${CSS.escape(named)}"] button`)?.focus();
    document.title = fresh.dataset.title;
    document.getElementById("annonce").textContent = fresh.dataset.said;
  };

  const look = async () => {
    if (over) return;
    if (place.dataset.list && busy()) {
      pending = true;
      return;
    }
    pending = false;
    try {
      const answer = await fetch(place.dataset.list || place.dataset.steps, { headers: { Accept: "text/html" } });
      if (answer.status === 401) return finish();
      if (!answer.ok) return;
      const text = await answer.text();
      if (place.dataset.list) renew(text);
      else if (Number(text) > Number(place.dataset.known)) place.hidden = false;
    } catch {
      // The next event, or the next opening, asks again.
    }
  };

  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, TOGETHER_MS);
  };

  const heard = (event) => {
    if (place.dataset.thread && JSON.parse(event.data).subject_id !== place.dataset.thread) return;
    soon();
  };

  const close = () => {
    clearTimeout(later);
    if (stream) stream.close();
    stream = null;
  };

  const open = () => {
    close();
    if (over) return;
    stream = new EventSource(place.dataset.news);
    for (const type of place.dataset.types.split(" ")) stream.addEventListener(type, heard);
    stream.addEventListener("open", () => {
      // Since the page was made, or between two streams, something may have happened that none of them told.
      soon();
    });
    stream.addEventListener("error", () => {
      if (stream && stream.readyState === EventSource.CLOSED) {
        look();
        later = setTimeout(open, AGAIN_MS);
      }
    });
  };

  place.addEventListener("focusout", () => {
    if (pending) soon();
  });
  // A page that nobody looks at asks for nothing: browsers keep few connections, and so do we.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  if (!document.hidden) open();
})();
