"use strict";
// A grid of any number of tiles of which only those in sight exist; thumbnails and details come in shards.
const gallery = (() => {
  const pick = (selector) => document.querySelector(selector);
  const grid = pick("#tiles");
  if (!grid) return null;
  const units = JSON.parse(pick("#units").textContent);
  units.forEach((unit, place) => { unit.place = place; });
  const byId = new Map(units.map((unit) => [unit.id, unit]));
  const byPlace = new Map(units.map((unit) => [`${unit.layer}/${unit.unit}`, unit]));
  const loaded = { thumbs: new Map(), more: new Map() }, requested = new Set();
  const filter = pick("#filter"), order = pick("#order"), layers = pick("#layers"), large = pick("#large"), inside = pick("#inside"), size = pick("#size");
  const TEXT = 66, GAP = 12, LARGE = 260, PRINTED = 400;
  // A row of natural images, a quarter as tall as the picture, where there are any.
  const beside = units.some((unit) => unit.ratio !== null || unit.dead) ? 1 : 0;
  let printing = false;
  let shown = units, current = null, columns = 1, width = 200, tall = 0;
  const measure = () => {
    const whole = grid.clientWidth + GAP, wanted = Number(size.value);
    // Pictures give up to a seventh of their size where one more of them then fits beside the others.
    columns = Math.max(1, Math.floor(whole / (0.86 * wanted + GAP)));
    width = Math.floor(Math.min(wanted, Math.max(whole / columns - GAP, 60)));
    const height = Math.round(width * (1 + beside / 4)) + TEXT;
    grid.style.setProperty("--tile", `${width}px`);
    grid.style.setProperty("--tall", `${height}px`);
    tall = height + GAP;
  };

  const words = (unit) => `${unit.layer} ${unit.name} ${unit.unit} ${unit.verdicts.map(([check, outcome, finding]) => `${outcome} ${finding} ${check}:${outcome}`).join(" ")} ${unit.dead ? "dead" : ""} ${unit.note ?? ""} ${unit.words ?? ""}`.toLowerCase();
  for (const unit of units) unit.words = words(unit);
  const failed = (unit) => unit.verdicts.filter(([, outcome]) => outcome === "FAIL").length;
  const orders = {
    unit: (a, b) => a.place - b.place,
    score: (a, b) => b.score - a.score,
    ratio: (a, b) => (b.ratio ?? -1) - (a.ratio ?? -1),
    fails: (a, b) => failed(b) - failed(a),
    name: (a, b) => a.name.localeCompare(b.name),
  };

  const make = (tag, values = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), values);
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const number = (value) => (value === null || value === undefined ? "" : Number(value.toPrecision(3)).toString());

  const load = (shard, kind) => {
    const file = `tiles/${String(shard).padStart(5, "0")}-${kind}.js`;
    if (requested.has(file)) return;
    requested.add(file);
    document.head.append(make("script", { src: file }));
  };
  const have = (unit, kind) => {
    const value = loaded[kind].get(unit.id);
    if (!value) load(unit.shard, kind);
    return value;
  };
  const keep = (kind, values) => { for (const [id, value] of Object.entries(values)) loaded[kind].set(id, value); };
  const take = (kind, values) => {
    keep(kind, values);
    if (kind === "thumbs" || width > LARGE) draw();
    if (kind === "more" && large.open && current) fill(current);
  };

  // A wide tile shows the whole picture as soon as it is there.
  const source = (unit) => (width > LARGE ? have(unit, "more")?.pictures[0] : undefined) ?? have(unit, "thumbs")?.[0] ?? "";
  const title = (unit) => unit.title ?? (unit.layer === "logits" ? unit.name : `unit ${unit.unit}`);
  const tile = (unit) => {
    const [, ...natural] = have(unit, "thumbs") ?? [];
    const image = make("img", { alt: `picture of ${unit.name}` });
    if (source(unit)) image.src = source(unit);
    const row = beside ? make("span", { className: "beside" }, ...natural.map((src, place) => make("img", { src, alt: `natural image ${place + 1} that excites ${unit.name}` }))) : null;
    const fails = failed(unit);
    const small = (unit.note ? [unit.note] : [unit.layer === "logits" ? "" : unit.layer, number(unit.score), unit.ratio === null ? "" : `${number(unit.ratio)}x natural`]).filter(Boolean).join(" · ");
    const mark = unit.verdicts.length ? make("em", { className: fails ? "badge on" : "badge", textContent: fails ? `${fails} FAIL` : "no FAIL", title: unit.verdicts.map((verdict) => verdict.join(" ")).join("\n") }) : null;
    const last = unit.dead ? make("span", { className: "dead", textContent: "dead: no natural image activates it" }) : make("small", { textContent: small });
    const node = make("button", { type: "button", className: "tile", id: unit.id }, image, row, make("span", { className: "text" }, make("b", { textContent: title(unit) }), mark, make("br"), last));
    node.addEventListener("click", () => open(unit));
    return node;
  };
  // Whether a tile was drawn before its picture came, or with a smaller one than there is now.
  const isOld = (node, unit) => node.querySelector("img").getAttribute("src") !== (source(unit) || null);

  const draw = () => {
    measure();
    grid.style.height = `${Math.ceil(shown.length / columns) * tall}px`;
    const top = grid.getBoundingClientRect().top, focus = document.activeElement?.id;
    const whole = printing && shown.length <= PRINTED;
    const first = whole ? 0 : Math.max(0, Math.floor((-top - 400) / tall)), last = whole ? shown.length : Math.ceil((-top + innerHeight + 400) / tall);
    const visible = shown.slice(first * columns, last * columns);
    const old = new Map([...grid.children].map((node) => [node.id, node]));
    const nodes = visible.map((unit, place) => {
      let node = old.get(unit.id);
      if (!node || isOld(node, unit)) node = tile(unit);
      const at = first * columns + place;
      node.style.transform = `translate(${(at % columns) * (width + GAP)}px, ${Math.floor(at / columns) * tall}px)`;
      return node;
    });
    grid.replaceChildren(...nodes);
    if (focus && byId.has(focus)) document.getElementById(focus)?.focus({ preventScroll: true });
  };

  const sift = () => {
    const terms = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = units.filter((unit) => (!layers.value || unit.layer === layers.value) && terms.every((word) => unit.words.includes(word)));
    shown.sort(orders[order.value]);
    pick("#count").textContent = `${shown.length} of ${units.length}`;
    draw();
  };

  const reveal = (unit) => {
    const at = shown.indexOf(unit);
    if (at < 0) return;
    const y = grid.getBoundingClientRect().top + Math.floor(at / columns) * tall;
    if (y < 0 || y + tall > innerHeight) scrollBy(0, y - innerHeight / 3);
    draw();
    document.getElementById(unit.id)?.focus({ preventScroll: true });
  };

  const figure = (image) => make("figure", {}, make("img", { src: image.image, alt: `natural image ${image.name}` }), make("figcaption", { textContent: `${number(image.score)} ${image.name}` }));
  const row = (title, list) => (list && list.length ? make("div", {}, make("h4", { textContent: title }), make("div", { className: "natural" }, ...list.map(figure))) : null);
  const svg = (width, height, inner, label) => { const box = make("div", { className: "plot" }); box.innerHTML = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${inner}</svg>`; return box; };
  const histogram = (unit, details) => {
    const { counts, low, high } = details.histogram, most = Math.max(...counts), span = (high - low) || 1;
    const far = Math.max(high, unit.score), near = Math.min(low, unit.score), x = (value) => 4 + 292 * (value - near) / ((far - near) || 1);
    const bars = counts.map((count, place) => `<rect x="${x(low + span * place / counts.length)}" width="${Math.max(1, x(low + span / counts.length) - x(low) - 0.5)}" y="${70 - 60 * count / most}" height="${60 * count / most}" fill="currentColor" opacity=".45"/>`).join("");
    return svg(300, 88, `${bars}<line x1="${x(unit.score)}" x2="${x(unit.score)}" y1="4" y2="72" stroke="#d55e00" stroke-width="2"/><text x="${x(unit.score) > 200 ? x(unit.score) - 4 : x(unit.score) + 4}" text-anchor="${x(unit.score) > 200 ? "end" : "start"}" y="12">this picture</text><text x="4" y="85">${number(near)}</text><text x="296" y="85" text-anchor="end">${number(far)}</text>`, "natural scores, and the picture's own");
  };
  const spark = (values) => {
    const low = Math.min(...values), span = (Math.max(...values) - low) || 1;
    return svg(300, 44, `<polyline fill="none" stroke="currentColor" points="${values.map((value, place) => `${4 + 292 * place / Math.max(1, values.length - 1)},${40 - 36 * (value - low) / span}`).join(" ")}"/>`, "objective by step");
  };
  const neighbour = ([layer, index, strength]) => {
    const known = byPlace.get(`${layer}/${index}`), text = `${known?.name ?? `${layer} ${index}`} (${strength > 0 ? "+" : ""}${number(strength)})`;
    if (!known) return make("li", { textContent: text });
    const link = make("a", { href: `#${known.id}`, textContent: text });
    link.addEventListener("click", (event) => { event.preventDefault(); open(known); });
    return make("li", {}, link);
  };
  const changed = ([name, value]) => make("li", { textContent: `${name} (${value > 0 ? "+" : ""}${number(value)})` });
  const list = (title, entries) => (entries && entries.length ? make("div", {}, make("h4", { textContent: title }), make("ul", {}, ...entries)) : null);

  const fill = (unit) => {
    const details = have(unit, "more"), heading = make("h3", { textContent: unit.name });
    if (!details) { inside.replaceChildren(heading, make("p", { textContent: "Loading" })); return; }
    const notes = details.notes?.map((textContent) => make("p", { textContent }));
    const large = details.pictures.map((source) => make("img", { className: "big", src: source, alt: `picture of ${unit.name}` }));
    const against = details.images ? ` of ${details.images} natural images the highest is ${number(details.top[0]?.score)}; the picture is above ${number(unit.percentile)}% of them.` : "";
    const verdicts = unit.verdicts.map(([check, outcome, finding, words]) => make("li", { className: outcome === "FAIL" ? "bad" : "" }, make("a", { href: "#features", textContent: check }), ` ${finding} (${outcome}): ${words}`));
    inside.replaceChildren(...[
      heading,
      make("div", { className: "facets" }, ...large, details.animation ? make("img", { className: "big", src: details.animation, alt: "the optimization, step by step" }) : null),
      details.modes ? make("p", { textContent: `${details.pictures.length} facets from as many starts: ${details.modes} distinct picture${details.modes > 1 ? "s" : ""}.` }) : null,
      ...(notes ?? [make("p", { textContent: `Activation of the picture ${number(unit.score)};${against}` })]),
      unit.dead ? make("p", { className: "dead", textContent: "Dead: no natural image activates this unit. What excites it here does not occur." }) : null,
      details.histogram ? histogram(unit, details) : null,
      list("Checks", verdicts),
      row(details.field ? `Natural images that excite it most: windows of ${details.field[0]} x ${details.field[1]} pixels, its receptive field` : "Natural images that excite it most", details.top),
      row("Where it is active in them: the rest is darkened", details.maps),
      row("Natural images in which the most relevance goes through it", details.relevant),
      details.without_relevance ? make("p", { textContent: details.without_relevance }) : null,
      row("From weak to strong", details.strip),
      row("Natural images that excite it least", details.bottom),
      make("div", { className: "columns" }, list("Classes whose logits fall without it", details.moves?.map(changed)), list("Atoms most alike, by cosine", details.near?.map(neighbour)), list("Before it, by weights", details.links?.[0].map(neighbour)), list("After it, by weights", details.links?.[1].map(neighbour)), list("Classes that use it most", details.classes?.map(changed))),
      details.curve ? make("h4", { textContent: "Objective by step, on the transformed picture" }) : null,
      details.curve ? spark(details.curve) : null,
      make("p", {}, make("small", {}, make("a", { href: `#${unit.id}`, textContent: `link to this ${details.notes ? "atom" : "unit"}` }), details.file ? ` · lossless picture: ${details.file}` : "")),
    ].filter(Boolean));
  };
  const open = (unit) => {
    current = unit;
    fill(unit);
    if (!large.open) large.showModal();
    large.scrollTop = 0;
    history.replaceState(null, "", `#${unit.id}`);
  };

  const start = () => {
    for (const layer of new Set(units.map((unit) => unit.layer))) layers.append(make("option", { value: layer, textContent: `${layer} (${units.filter((unit) => unit.layer === layer).length})` }));
    for (const node of document.querySelectorAll("script[data-kind]")) keep(node.dataset.kind, JSON.parse(node.textContent));
    for (const control of [filter, order, layers]) control.addEventListener("input", sift);
    addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    addEventListener("resize", draw);
    size.addEventListener("input", draw);
    for (const when of ["beforeprint", "afterprint"]) addEventListener(when, () => { printing = when === "beforeprint"; draw(); });
    large.addEventListener("close", () => { if (current) reveal(current); });
    document.addEventListener("keydown", key);
    addEventListener("hashchange", follow);
    sift();
    follow();
  };
  const key = (event) => {
    if (event.key === "/" && document.activeElement !== filter && !large.open) { event.preventDefault(); filter.focus(); return; }
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!step || ["INPUT", "SELECT"].includes(document.activeElement.tagName)) return;
    const from = large.open ? shown.indexOf(current) : shown.indexOf(byId.get(document.activeElement.id));
    if (from < 0) return;
    event.preventDefault();
    const next = shown[Math.min(shown.length - 1, Math.max(0, from + (large.open ? Math.sign(step) : step)))];
    if (large.open) open(next); else reveal(next);
  };
  const follow = () => {
    const hash = decodeURIComponent(location.hash.slice(1));
    if (byId.has(hash)) { open(byId.get(hash)); return; }
    const settings = new URLSearchParams(hash);
    if (!settings.has("q") && !settings.has("layer")) return;
    filter.value = settings.get("q") ?? "";
    layers.value = settings.get("layer") ?? "";
    sift();
  };
  return { start, take };
})();
if (gallery) gallery.start();
