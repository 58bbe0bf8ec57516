// Comforts of the console: every page reads and works without this script.
(() => {
  "use strict";

  document.documentElement.classList.add("scripted");

  // Columns sort where their heading is pressed, by keyboard too; a second press turns the order round.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const numbers = head.dataset.sort === "number";
        const order = (one, other) => numbers
          ? Number(value(one)) - Number(value(other))
          : value(one).localeCompare(value(other), document.documentElement.lang, { numeric: true });
        const rows = [...body.rows].sort(order);
        body.append(...(down ? rows.reverse() : rows));
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
    });
  }

  for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => print());

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent.trim());
        const said = button.parentElement.querySelector("[data-copied]");
        if (said) said.hidden = false;
      } catch {
        // Where the browser does not allow it, the text is marked, so that one key copies it.
        getSelection().selectAllChildren(source);
      }
    });
  }

  // A file goes in blocks, so that a large one passes and one sees it go.
  for (const form of document.querySelectorAll("form[data-upload]")) {
    form.addEventListener("submit", async (event) => {
      const file = form.elements.file.files[0];
      if (!file) return;
      event.preventDefault();
      const sending = form.querySelector(".sending");
      const bar = sending.querySelector("progress");
      const said = sending.querySelector("[role=status]");
      const post = async (address, fields) => {
        const body = new FormData();
        body.set("proof", form.elements.proof.value);
        for (const [name, value] of Object.entries(fields)) body.set(name, value);
        const answer = await fetch(address, { method: "POST", body });
        return { ok: answer.ok, told: await answer.json() };
      };
      sending.hidden = false;
      said.textContent = "";
      try {
        const { source, mapping } = form.elements;
        const made = await post("/gestion/imports/annonce",
          { name: file.name, size: file.size, source: source.value, mapping: mapping.value });
        if (!made.ok) {
          said.textContent = Object.values(made.told.faults ?? {}).join(" ") || said.dataset.lost;
          return;
        }
        const block = Number(form.dataset.upload);
        for (let offset = 0; offset < file.size; offset += block) {
          const fields = { offset, block: file.slice(offset, offset + block) };
          if (offset + block >= file.size) fields.last = "1";
          const sent = await post(`/gestion/imports/${made.told.id}/bloc`, fields);
          if (!sent.ok) throw new Error("not taken");
          bar.value = Math.round(100 * Math.min(offset + block, file.size) / file.size);
        }
        location.assign(made.told.page);
      } catch {
        said.textContent = said.dataset.lost;
      } finally {
        delete form.dataset.gone;
      }
    });
  }

  // What runs is looked at again every two seconds; once it ended, the whole page is shown.
  const followed = document.querySelector("[data-follow]");
  if (followed) {
    const look = async () => {
      try {
        const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
        const fresh = page.getElementById(followed.id);
        if (!fresh || !fresh.hasAttribute("data-follow")) return location.reload();
        followed.replaceChildren(...fresh.childNodes);
      } catch {
        // Without an answer it shows what it knew; the next look may find more.
      }
      setTimeout(look, 2_000);
    };
    setTimeout(look, 1_000);
  }
})();
