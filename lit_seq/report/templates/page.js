"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const state = {};
  const units = { seconds: "Training time (s)", tokens: "Tokens" };

  const theme = (print) => dark.matches && !print
    ? { ink: "#e6e9ed", line: "#343a42", page: "#16181d" }
    : { ink: "#1b1f24", line: "#dfe3e8", page: "#ffffff" };

  function layout(name, box, print) {
    const { layout: own, rows, tall } = figures[name];
    const { ink, line, page } = theme(print);
    const width = print ? 660 : box.clientWidth;
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, ticks: "", exponentformat: "power" };
    const entries = own.showlegend ? rows : 0;
    const height = tall ? 110 + (rows > 10 ? 28 : 44) * rows : (width < 480 ? 320 : 400) + 22 * Math.ceil(entries / (width < 480 ? 1.5 : 3));
    const merged = {
      ...own, width, height,
      font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif", size: 13, color: ink },
      paper_bgcolor: page, plot_bgcolor: page,
      margin: { l: 48, r: 12, t: 12, b: 44 },
      hoverlabel: { namelength: -1, font: { size: 13 } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemwidth: 40 },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: { ...axis, ...own.xaxis },
      yaxis: { ...axis, ...own.yaxis },
    };
    // A label's ground hides what runs below it: it is the page's.
    if (own.annotations) merged.annotations = own.annotations.map((one) => one.bgcolor ? { ...one, bgcolor: page } : one);
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
