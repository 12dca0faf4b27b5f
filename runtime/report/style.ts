// How the report looks and answers the pointer: its style sheet and its script, both within the page.

/** The style sheet: light or dark as the reader's system is, or as the button says. */
export const STYLE = `
:root { color-scheme: light; --page: #f6f7f9; --card: #fff; --ink: #16191d; --soft: #5b6470; --rule: #e2e5ea; --accent: #1f6feb; --shade: black; --keep: 74%; }
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) { color-scheme: dark; --page: #0f1114; --card: #181b20; --ink: #e9ecef; --soft: #98a1ac; --rule: #2b3038; --accent: #6ea8ff; --keep: 100%; } }
:root[data-theme=dark] { color-scheme: dark; --page: #0f1114; --card: #181b20; --ink: #e9ecef; --soft: #98a1ac; --rule: #2b3038; --accent: #6ea8ff; --keep: 100%; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "Open Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1148px; margin: 0 auto; padding: 28px 24px 60px; }
header { display: flex; align-items: start; gap: 16px; }
header div { flex: 1; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0; font-weight: 600; }
p { margin: 6px 0; color: var(--soft); }
button { font: inherit; font-size: 13px; color: var(--soft); background: var(--card); border: 1px solid var(--rule); border-radius: 7px; padding: 5px 11px; cursor: pointer; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); gap: 12px; margin: 22px 0 16px; }
.tiles div, figure, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.tiles div { padding: 11px 15px; }
.tiles dt { font-size: 13px; color: var(--soft); }
.tiles dd { margin: 1px 0 0; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles small { display: block; font-size: 12.5px; font-weight: 400; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; }
figure { margin: 0; padding: 13px 18px 12px; }
.wide { grid-column: 1 / -1; }
figcaption { display: flex; justify-content: space-between; align-items: baseline; margin-bottom: 4px; }
.toggle { font-size: 13px; color: var(--soft); cursor: pointer; user-select: none; }
.frame { position: relative; }
svg { display: block; width: 100%; height: auto; overflow: visible; touch-action: pan-y; border-radius: 4px; }
svg:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
figure .log, figure:has(.toggle input:checked) .linear { display: none; }
figure:has(.toggle input:checked) .log { display: block; }
.tick { font-size: 12.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); }
.axis { stroke: var(--soft); }
.accent { --hue: var(--accent); } .ink { --hue: var(--ink); } .soft { --hue: var(--soft); } .faint { --hue: color-mix(in srgb, var(--accent) 38%, var(--card)); }
.lines g, .pointer circle, .legend li, .tip i { --seen: var(--hue); }
.lines .class, .pointer .class, .legend .class, .tip .class { --seen: color-mix(in srgb, var(--hue) var(--keep), var(--shade)); }
.lines polyline { fill: none; stroke: var(--seen); stroke-width: 1.7; stroke-linejoin: round; stroke-linecap: round; }
.lines .faint polyline { stroke-width: 1.1; } .lines .faint circle { display: none; }
.lines .accent polyline, .lines .ink polyline { stroke-width: 2.4; }
.lines .soft polyline { stroke-dasharray: 5 4; }
.lines circle, .pointer circle { fill: var(--seen); }
.lines g { transition: opacity .12s; } .lines.one g:not(.on) { opacity: .13; }
.pointer line { stroke: var(--soft); stroke-dasharray: 3 3; }
.pointer circle { stroke: var(--card); stroke-width: 1.5; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 3px 18px; margin: 8px 0 0; padding: 0; font-size: 13.5px; }
.legend li { cursor: default; }
.legend li::before, .tip i { content: ""; display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px; background: var(--seen); }
.tip { position: absolute; top: 8px; z-index: 2; pointer-events: none; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 7px 11px; font-size: 13px; line-height: 1.45; box-shadow: 0 4px 16px rgb(0 0 0 / .16); white-space: nowrap; font-variant-numeric: tabular-nums; }
.tip b { display: block; font-weight: 600; } .tip span { display: flex; align-items: baseline; } .tip em { font-style: normal; margin-left: auto; padding-left: 16px; }
.card { padding: 6px 18px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; font-weight: 400; padding: 6px 14px 6px 0; border-top: 1px solid var(--rule); vertical-align: top; }
tr:first-child > * { border-top: 0; }
th { color: var(--soft); } thead th { font-size: 13px; }
.number { text-align: right; padding-right: 0; padding-left: 14px; }
.slices { display: grid; grid-template-columns: repeat(auto-fill, minmax(510px, 1fr)); gap: 14px; }
.views { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; margin-top: 6px; }
.views img { display: block; width: 100%; image-rendering: pixelated; border-radius: 5px; background: #000; }
.views span, figcaption small { font-size: 12.5px; color: var(--soft); }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px; }
.bar { display: flex; height: 14px; border-radius: 4px; overflow: hidden; margin: 12px 0 8px; background: var(--rule); }
.bar i { background: var(--part); min-width: 2px; }
pre { overflow-x: auto; font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; margin: 10px 0; }
@media (max-width: 760px) { .charts { grid-template-columns: minmax(0, 1fr); } .slices { grid-template-columns: minmax(0, 1fr); } .frame { overflow-x: auto; } svg { min-width: 480px; } .wide svg { min-width: 860px; } main { padding: 18px 12px 40px; } }
@media print { button, .toggle { display: none; } figure { break-inside: avoid; } }
`;

/** The script: values at the step under the pointer, one line alone while its name is pointed at, light or dark. */
export const SCRIPT = String.raw`
for (const figure of document.querySelectorAll("figure.chart")) {
  const { at, steps, series } = JSON.parse(figure.querySelector("script").textContent);
  const tip = figure.querySelector(".tip");
  const number = (v) => v === 0 ? "0" : Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5 ? v.toExponential(3) : String(Number(v.toPrecision(4)));
  const node = (name, attributes) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) one.setAttribute(key, attributes[key]);
    return one;
  };
  for (const svg of figure.querySelectorAll("svg")) {
    const { box, low, high, first, last } = svg.dataset;
    const [left, top, right, bottom] = box.split(" ").map(Number);
    const pointer = svg.querySelector(".pointer");
    const scaled = svg.classList.contains("log") ? Math.log10 : (v) => v;
    const xOf = (step) => left + (step - first) / (last - first) * (right - left);
    let shown = -1;
    const hide = () => { shown = -1; pointer.replaceChildren(); tip.hidden = true; };
    const show = (n) => {
      shown = n;
      const x = xOf(at[n]);
      const here = series.filter((one) => one.values[n] !== null);
      const rows = [...here].sort((a, b) => a.hue.startsWith('class="class"') - b.hue.startsWith('class="class"'));
      pointer.replaceChildren(node("line", { x1: x, x2: x, y1: top, y2: bottom }));
      for (const { values, hue } of here) {
        const share = (scaled(values[n]) - low) / (high - low);
        if (!(share >= -0.001 && share <= 1.001)) continue;
        const dot = node("circle", { r: 4, cx: x, cy: bottom - share * (bottom - top) });
        const holder = document.createElement("template");
        holder.innerHTML = "<i " + hue + "></i>";
        for (const { name, value } of holder.content.firstChild.attributes) dot.setAttribute(name, value);
        pointer.append(dot);
      }
      tip.innerHTML = "<b></b>" + rows.slice(0, 24).map(({ hue }) => "<span><i " + hue + "></i><u></u><em></em></span>").join("") + (rows.length > 24 ? "…" : "");
      tip.firstChild.textContent = "step " + at[n].toLocaleString("en") + ", epoch " + Math.ceil(at[n] / steps);
      tip.querySelectorAll("span").forEach((row, k) => {
        row.children[1].textContent = rows[k].name;
        row.children[1].style.textDecoration = "none";
        row.children[2].textContent = number(rows[k].values[n]);
      });
      tip.hidden = false;
      const scale = svg.clientWidth / svg.viewBox.baseVal.width;
      const side = x * scale + 14 + tip.offsetWidth > svg.clientWidth ? x * scale - 14 - tip.offsetWidth : x * scale + 14;
      tip.style.left = Math.max(0, side) + "px";
    };
    svg.addEventListener("pointermove", (event) => {
      const bounds = svg.getBoundingClientRect();
      const x = (event.clientX - bounds.left) / bounds.width * svg.viewBox.baseVal.width;
      let best = 0;
      for (let n = 1; n < at.length; n++) if (Math.abs(xOf(at[n]) - x) < Math.abs(xOf(at[best]) - x)) best = n;
      show(best);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === "Escape") hide();
      if (by === undefined) return;
      event.preventDefault();
      show(Math.max(0, Math.min(at.length - 1, (shown < 0 ? (by < 0 ? at.length : -1) : shown) + by)));
    });
  }
  figure.querySelectorAll(".legend li").forEach((item, k) => {
    const mark = (on) => figure.querySelectorAll(".lines").forEach((lines) => {
      lines.classList.toggle("one", on);
      lines.children[k].classList.toggle("on", on);
    });
    item.addEventListener("pointerenter", () => mark(true));
    item.addEventListener("pointerleave", () => mark(false));
  });
}
document.querySelector("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
`;
