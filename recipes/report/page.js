"use strict";
// Controls of photographs and maps, and what printing needs.
const first = (selector) => document.querySelector(selector);
const mix = first("#mix"), side = first("#side"), search = first("#methods");
if (mix) {
  const show = () => document.body.style.setProperty("--mix", mix.value / 100);
  mix.addEventListener("input", show);
  first("#flip").addEventListener("click", () => { mix.value = mix.value > 50 ? 0 : 100; show(); });
  show();
}
if (side) side.addEventListener("input", () => document.body.style.setProperty("--side", `${side.value}px`));
if (search) {
  search.addEventListener("input", () => {
    const words = search.value.trim().toLowerCase();
    for (const node of document.querySelectorAll("[data-method], [data-map]")) node.hidden = !(node.dataset.method ?? node.dataset.map).toLowerCase().includes(words);
  });
}
// A table that scrolls is reached by the keyboard.
const reach = () => { for (const node of document.querySelectorAll(".wide")) node.tabIndex = node.scrollWidth > node.clientWidth ? 0 : -1; };
addEventListener("resize", reach);
document.addEventListener("toggle", reach, true);
reach();
// Paper has no clicks: what is folded is printed open.
let folded = [];
addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("details:not([open])")]; for (const node of folded) node.open = true; });
addEventListener("afterprint", () => { for (const node of folded) node.open = false; });
