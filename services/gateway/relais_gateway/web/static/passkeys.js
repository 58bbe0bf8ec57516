// A key is asked for by the browser alone; what it answers goes along with the form, like any other field.
(() => {
  "use strict";

  const able = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (!able) {
      form.hidden = true;
      continue;
    }
    const trouble = form.querySelector("[data-trouble]");
    // Before the listener by which a form leaves once: a key that was not found may be looked for again.
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      trouble.hidden = true;
      try {
        const asked = await fetch(`${form.action}/options`, { method: "POST", body: new FormData(form) });
        if (!asked.ok) throw new Error("refused");
        const options = await asked.json();
        const key = form.dataset.passkey === "make"
          ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
          : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
        form.elements.answer.value = JSON.stringify(key);
        form.submit();
      } catch {
        trouble.hidden = false;
      }
    }, { capture: true });
  }
})();
