// Small comforts only: every page is whole without this script.
(() => {
  "use strict";

  // Place names while one types; the field is a plain one without this.
  for (const field of document.querySelectorAll("input[data-places]")) {
    const list = document.getElementById(field.getAttribute("list"));
    let asked = "";
    let waiting = 0;
    field.addEventListener("input", () => {
      clearTimeout(waiting);
      const words = field.value.trim();
      if (words.length < 2 || words === asked) return;
      waiting = setTimeout(async () => {
        asked = words;
        try {
          const answer = await fetch(`/lieux?${new URLSearchParams({ q: words })}`);
          if (!answer.ok || field.value.trim() !== words) return;
          const places = await answer.json();
          list.replaceChildren(...places.map((place) => new Option("", place)));
        } catch {
          // Without an answer the field stays what it was: a field.
        }
      }, 150);
    });
  }

  // The list and the map light each other up.
  for (const card of document.querySelectorAll(".card[id]")) {
    const mark = document.querySelector(`.mark[data-for="${card.id}"]`);
    if (!mark) continue;
    for (const [one, other] of [[card, mark], [mark, card]]) {
      one.addEventListener("pointerenter", () => other.classList.add("lit"));
      one.addEventListener("pointerleave", () => other.classList.remove("lit"));
    }
    card.addEventListener("focusin", () => mark.classList.add("lit"));
    card.addEventListener("focusout", () => mark.classList.remove("lit"));
  }

  document.documentElement.classList.add("scripted");
  for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => print());

  // Out at once: this page is gone before the session has ended behind it, and going back finds nothing.
  for (const form of document.querySelectorAll("form[data-leave]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      document.documentElement.hidden = true;
      fetch(form.action, { method: "POST", redirect: "manual", keepalive: true })
        .finally(() => location.replace("/p/calendrier"));
    });
  }

  // A form leaves once.
  for (const form of document.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.gone) event.preventDefault();
      form.dataset.gone = "1";
    });
  }
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-gone]")) delete form.dataset.gone;
  });
})();
