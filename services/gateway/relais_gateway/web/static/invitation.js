"use strict";
// The secret of the invitation stands behind the #: it goes into the form, and out of the address.

const field = document.querySelector("#secret");
if (field && location.hash.length > 16) {
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  document.querySelector("#a-coller").hidden = true;
  document.querySelector("#lu").hidden = false;
}
