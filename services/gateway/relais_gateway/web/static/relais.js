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

  // The relay page keeps its draft by itself, and shows what the other side would read of it.
  const relay = document.querySelector("form[data-draft]");
  if (relay) {
    const preview = relay.querySelector("[data-preview]");
    const fields = relay.elements;
    let waiting = 0;
    let going = null;
    let again = false;
    // What a draft needs; and where she said no, nothing is written.
    const ready = () => fields.place.value.trim() && fields.called.value.trim()
      && relay.querySelector("[name=theme]:checked") && !relay.querySelector("[name=answer][value=no]:checked");
    const keep = async () => {
      const sent = new URLSearchParams(new FormData(relay));
      sent.set("do", "keep");
      sent.set("part", "1");
      const answer = await fetch(relay.action, { method: "POST", body: sent, redirect: "manual" });
      const kept = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("tenu");
      if (!kept) return;
      for (const line of relay.querySelectorAll("[data-saved]")) line.textContent = kept.dataset.said;
      fields.key.value = kept.dataset.key;
      if (!answer.ok) return;
      fields.referral.value = kept.dataset.referral;
      preview.replaceChildren(...kept.childNodes);
      // From now on a reload finds it again.
      history.replaceState(null, "", `/relais/${kept.dataset.referral}/brouillon`);
    };
    const save = () => {
      clearTimeout(waiting);
      if (going) {
        again = true;
        return;
      }
      if (!ready()) return;
      going = keep().catch(() => {}).finally(() => {
        going = null;
        if (again) {
          again = false;
          later();
        }
      });
    };
    const later = () => {
      clearTimeout(waiting);
      waiting = setTimeout(save, 900);
    };
    relay.addEventListener("input", later);
    relay.addEventListener("submit", (event) => {
      clearTimeout(waiting);
      again = false;
      if (!going) return;
      // What is on its way must be known first: or the same person would be written down twice.
      event.preventDefault();
      event.stopImmediatePropagation();
      const patience = new Promise((enough) => setTimeout(enough, 2000));
      Promise.race([going, patience]).then(() => {
        going = null;
        relay.requestSubmit(event.submitter);
      });
    });
  }

  // What a page asks and shows in its own place: nothing typed above it is lost.
  for (const form of document.querySelectorAll("form[data-check]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      const sent = new URLSearchParams(new FormData(form));
      sent.set("part", "1");
      try {
        const answer = await fetch(form.action, { method: "POST", body: sent, redirect: "manual" });
        const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("verifie");
        if (found) form.querySelector("[data-checked]").replaceChildren(...found.childNodes);
      } catch {
        // Nothing was asked for but an answer: the button is still there.
      }
    });
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
