"use strict";
// The chosen head of an input: lines from query to key tokens, or the weights of one query over the photograph.
for (const article of document.querySelectorAll("[data-heads]")) {
  const detail = article.querySelector(".detail"), source = article.querySelector(".source");
  const make = (tag, values = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), values);
    node.append(...children);
    return node;
  };
  const draw = (tag, values, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
    node.textContent = text;
    return node;
  };
  // A picture holds the square root of each weight as the brightness of a pixel.
  const read = (picture) => {
    const canvas = make("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    return (query, key) => (pixels[4 * (query * canvas.width + key)] / 255) ** 2;
  };
  const strongest = (weight, query, keys) => keys.map((name, key) => [weight(query, key), name]).sort((a, b) => b[0] - a[0]).slice(0, 5).map(([value, name]) => `${name} ${value.toFixed(2)}`).join(", ");

  const lines = (weight, queries, keys) => {
    const step = 24, side = 250, count = Math.max(queries.length, keys.length);
    const image = draw("svg", { viewBox: `0 0 620 ${step * count + 8}`, class: "lines", role: "group", "aria-label": "from queries on the left to keys on the right" });
    const paths = [];
    queries.forEach((_, query) => keys.forEach((_, key) => {
      const value = weight(query, key);
      if (value < 0.01) return;
      const path = draw("path", { d: `M${side} ${step * query + 14} L${620 - side} ${step * key + 14}`, "stroke-opacity": Math.sqrt(value), "stroke-width": 1 + 3 * value });
      path.query = query;
      paths.push(path);
    }));
    const note = make("p", { className: "soft" });
    const choose = (query) => {
      for (const path of paths) path.classList.toggle("aside", query !== null && path.query !== query);
      note.textContent = query === null ? "Point at a word on the left, or go to it with the Tab key, to see its lines alone." : `${queries[query]} attends to ${strongest(weight, query, keys)}`;
    };
    queries.forEach((name, query) => {
      const word = draw("text", { x: side - 8, y: step * query + 18, "text-anchor": "end", tabindex: 0, role: "button", class: "query" }, name);
      for (const event of ["mouseenter", "focus"]) word.addEventListener(event, () => choose(query));
      for (const event of ["mouseleave", "blur"]) word.addEventListener(event, () => choose(null));
      image.append(word);
    });
    keys.forEach((name, key) => image.append(draw("text", { x: 620 - side + 8, y: step * key + 18 }, name)));
    image.append(...paths);
    choose(null);
    return [image, note];
  };

  const overlay = (weight, queries, keys, [first, rows, columns, columnsFirst]) => {
    const cells = make("div", { className: "patches" }), note = make("p", { className: "soft" });
    cells.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
    const select = make("select", {}, ...queries.map((name, query) => make("option", { value: query, textContent: name })));
    const place = (row, column) => first + (columnsFirst ? column * rows + row : row * columns + column);
    const show = () => {
      const query = Number(select.value);
      const top = Math.max(...keys.map((_, key) => weight(query, key)));
      for (const cell of cells.children) {
        const value = weight(query, cell.token);
        cell.style.backgroundColor = `rgba(178, 24, 43, ${top ? 0.85 * value / top : 0})`;
        cell.title = `${keys[cell.token]}: ${value.toFixed(2)}`;
        cell.classList.toggle("from", cell.token === query);
      }
      note.textContent = `${queries[query]} attends to ${strongest(weight, query, keys)}`;
    };
    for (let row = 0; row < rows; row += 1) for (let column = 0; column < columns; column += 1) {
      const cell = make("i");
      cell.token = place(row, column);
      cell.addEventListener("click", () => { if (cell.token < queries.length) { select.value = cell.token; show(); } });
      cells.append(cell);
    }
    select.addEventListener("change", show);
    show();
    return [make("label", {}, "Query ", select), make("div", { className: "stage" }, make("img", { src: source.src, alt: source.alt }), cells), note];
  };

  for (const layer of article.querySelectorAll(".layer")) {
    const queries = JSON.parse(layer.dataset.queries), keys = JSON.parse(layer.dataset.keys);
    const grid = layer.dataset.grid && source ? JSON.parse(layer.dataset.grid) : null;
    layer.querySelectorAll(".head").forEach((button, head) => button.addEventListener("click", () => {
      const again = button.getAttribute("aria-pressed") === "true";
      for (const other of article.querySelectorAll(".head")) other.setAttribute("aria-pressed", String(other === button && !again));
      detail.hidden = again;
      if (again) return;
      const weight = read(button.querySelector("img")), heading = `${layer.querySelector("h4").textContent}, head ${head}`;
      detail.replaceChildren(make("h4", { textContent: heading }), ...(grid ? overlay(weight, queries, keys, grid) : lines(weight, queries, keys)));
      layer.after(detail);
    }));
  }
}
