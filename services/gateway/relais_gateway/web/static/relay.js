// Small comforts of the relay page and a service's: both are whole without this script.
(() => {
  "use strict";
  // Before the listener of every page, which lets a form leave once: what is held back here has not left.
  const FIRST = { capture: true };

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
    }, FIRST);
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
    }, FIRST);
  }
})();
