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

  // What they will read, as it is typed; it stays on this page.
  const preview = document.querySelector("[data-preview]");
  if (preview) {
    const form = preview.closest("form");
    const said = (name) => [...form.querySelectorAll(`[name="${name}"]`)]
      .filter((field) => !["radio", "checkbox"].includes(field.type) || field.checked)
      .map((field) => field.value.trim()).filter(Boolean).join(", ");
    const show = () => {
      for (const cell of preview.querySelectorAll("[data-shows]")) {
        const agreed = !cell.dataset.category
          || form.querySelector(`[name="categories"][value="${cell.dataset.category}"]`).checked;
        const text = cell.dataset.shows.split(" ").map(said).filter(Boolean).join(" · ");
        cell.textContent = agreed ? text || cell.dataset.empty : cell.dataset.kept;
      }
    };
    form.addEventListener("input", show);
    form.addEventListener("change", show);
    show();
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
