"use strict";
(() => {
  const { figures, templates, narrow } = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const state = {};
  const units = { seconds: "Training time (s)", tokens: "Tokens" };

  function layout(name, box, print) {
    const { layout: own, heights } = figures[name];
    const width = print ? 660 : box.clientWidth;
    const merged = {
      ...own, width, height: heights[Number(width < narrow)],
      template: templates[dark.matches && !print ? "dark" : "light"],
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: { ...own.xaxis }, yaxis: { ...own.yaxis },
    };
    const chosen = state[name];
    if (chosen.log !== undefined) {
      merged.yaxis.type = chosen.log ? "log" : "linear";
      if (own.yaxis.range && chosen.log !== (own.yaxis.type === "log")) {
        const [low, high] = own.yaxis.range;
        merged.yaxis.range = chosen.log ? [Math.log10(Math.max(low, high / 1e4)), Math.log10(high)] : [10 ** low, 10 ** high];
      }
    }
    if (chosen.x !== "step") merged.xaxis = { ...merged.xaxis, title: { text: units[chosen.x] } };
    return merged;
  }

  function draw(name, print = false) {
    const box = document.getElementById(name);
    if (!box) return;
    const { data, paces } = figures[name];
    const pace = paces[state[name].x];
    const times = (x, by) => x.map((step, i) => step * (Array.isArray(by) ? by[i] : by));
    const traces = pace ? data.map((trace, i) => ({ ...trace, x: times(trace.x, pace[i]) })) : data;
    Plotly.react(box, traces, layout(name, box, print), {
      displayModeBar: false,
    });
  }

  const drawAll = (print) => Object.keys(figures).forEach((name) => draw(name, print));

  for (const name of Object.keys(figures)) state[name] = { x: figures[name].x };
  for (const button of document.querySelectorAll(".choices button")) {
    const name = button.parentElement.dataset.for, choice = button.dataset.choice;
    if (choice === "save") {
      button.addEventListener("click", () => Plotly.downloadImage(name, { format: "png", scale: 3, filename: name }));
      continue;
    }
    const press = (on) => button.setAttribute("aria-pressed", String(on));
    if (choice === "log") press(figures[name].layout.yaxis.type === "log");
    if (choice === "x") press(figures[name].x === button.dataset.unit);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      if (choice === "x") {
        state[name].x = on ? button.dataset.unit : "step";
        for (const other of button.parentElement.querySelectorAll("[data-unit]")) other.setAttribute("aria-pressed", "false");
      } else state[name][choice] = on;
      press(on);
      draw(name);
    });
  }

  for (const button of document.querySelectorAll(".sort")) {
    button.addEventListener("click", () => {
      const header = button.parentElement, column = header.cellIndex;
      const body = header.closest("table").tBodies[0];
      const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const value = (row) => {
        const cell = row.cells[column];
        if (!cell.classList.contains("number")) return cell.textContent.trim();
        return cell.dataset.value ? Number(cell.dataset.value) : NaN;
      };
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (typeof x === "string") return direction * x.localeCompare(y, undefined, { numeric: true });
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return direction * (x - y);
      };
      for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      body.append(...[...body.rows].sort(compare));
    });
  }

  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) { width = innerWidth; drawAll(); }
  });
  dark.addEventListener("change", () => drawAll());
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
    drawAll(true);
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
    drawAll();
  });
  drawAll();
})();
