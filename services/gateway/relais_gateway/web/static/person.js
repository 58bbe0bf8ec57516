"use strict";
// What is easier with a script. Without it the page reads and stops all the same.

const one = (selector) => document.querySelector(selector);

// The secret of her card stands behind the #: it goes into the form, and out of the address.
const link = one("#link");
if (link) {
  if (location.hash.length > 16) {
    link.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  }
  const read = one("#carte-lue");
  if (link.value && read) {
    one("#carte").hidden = true;
    read.hidden = false;
  }
} else if (location.hash.length > 16) {
  // Another card was read while a page was open: its secret must not stay in the address.
  history.replaceState(null, "", location.pathname);
}

// Pictures to press, one after the other; the lists below stay what is sent.
for (const code of document.querySelectorAll(".code")) {
  const grid = code.querySelector(".grid");
  const again = code.querySelector("[data-again]");
  const lists = [...code.querySelectorAll("select")];
  grid.hidden = false;
  again.hidden = false;
  grid.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-picture]");
    const next = lists.find((list) => list.value === "");
    if (pressed && next) next.value = pressed.dataset.picture;
  });
  again.addEventListener("click", () => {
    for (const list of lists) list.value = "";
  });
}

// Out at once: the session ends behind the page, which takes the place of this one.
const leave = one("#quitter");
if (leave) {
  leave.addEventListener("submit", (event) => {
    event.preventDefault();
    document.documentElement.hidden = true;
    fetch(leave.action, { method: "POST", redirect: "manual", keepalive: true }).finally(() => location.replace("/p/calendrier"));
  });
}
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// Read aloud, where the browser can.
const aloud = one("#lire");
if (aloud && "speechSynthesis" in window && document.querySelector("[data-read]")) {
  aloud.hidden = false;
  aloud.addEventListener("click", () => {
    if (speechSynthesis.speaking) return speechSynthesis.cancel();
    for (const part of document.querySelectorAll("[data-read]")) {
      const said = new SpeechSynthesisUtterance(part.innerText.replaceAll("\n", ". "));
      said.lang = document.documentElement.lang;
      said.rate = 0.9;
      speechSynthesis.speak(said);
    }
  });
}
