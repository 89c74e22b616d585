"use strict";
// Draws the charts of a page with plotly. The page carries its data; nothing is fetched.

const charts = JSON.parse(document.getElementById("charts").textContent);
const plots = [...document.querySelectorAll(".plot")];
const CONFIG = { displayModeBar: false, responsive: true };
const NOTHING = -1; // the state of a cell in which there is no span
const CELL_PIXELS = 1.5;

// -- colours

/** The colour of this name in the theme that is on. */
function colour(name) {
  return getComputedStyle(document.body).getPropertyValue("--" + name).trim();
}

/** A copy in which "ink:work" and "ink:work/20" (per cent) are colours of the theme. */
function inked(value) {
  if (Array.isArray(value)) return value.map(inked);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inked(inner)]));
  const named = typeof value === "string" && /^ink:(\w+)(?:\/(\d+))?$/.exec(value);
  if (!named) return value;
  const alpha = named[2] ? Math.round(named[2] * 2.55).toString(16).padStart(2, "0") : "";
  return colour(named[1]) + alpha;
}

function layoutOf(own) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true, ticks: "" };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("soft") },
    margin: { l: 56, r: 16, t: 8, b: 44 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text"), size: 13 }, align: "left" },
    xaxis: axis, yaxis: axis, bargap: 0.25, showlegend: false,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
  };
  const layout = { ...base, ...inked(own) };
  for (const name of ["xaxis", "yaxis"]) layout[name] = { ...axis, ...layout[name] };
  return layout;
}

// -- the timeline: as many cells as there are pixels, coloured anew for each zoom

/**
 * The state to show in each cell of one lane, and the span to name there.
 *
 * The same rule as raster.py: each cell goes to the state that is owed most time and owes a cell's
 * width for it, so that the mix of colours is true at any zoom.
 */
function mixCells(lane, start, end, cells) {
  const width = (end - start) / cells;
  const held = Array.from({ length: cells }, () => new Map());
  for (let at = firstEndingAfter(lane, start); at < lane.start.length && lane.start[at] < end; at++) {
    const first = Math.max(0, Math.floor((lane.start[at] - start) / width));
    const last = Math.min(cells - 1, Math.floor((lane.end[at] - start) / width));
    for (let cell = first; cell <= last; cell++) {
      const left = start + cell * width;
      const time = Math.min(lane.end[at], left + width) - Math.max(lane.start[at], left);
      if (time <= 0) continue;
      const seen = held[cell].get(lane.state[at]) || { time: 0, most: 0, span: at };
      seen.time += time;
      if (time > seen.most) { seen.most = time; seen.span = at; }
      held[cell].set(lane.state[at], seen);
    }
  }
  return payOut(held, width);
}

function payOut(held, width) {
  const owed = new Map();
  return held.map((here) => {
    let free = width;
    for (const [state, seen] of here) {
      owed.set(state, (owed.get(state) || 0) + seen.time);
      free -= seen.time;
    }
    owed.set(NOTHING, (owed.get(NOTHING) || 0) + Math.max(0, free));
    let most = NOTHING;
    for (const [state, time] of owed) if (time > owed.get(most)) most = state;
    owed.set(most, owed.get(most) - width);
    const seen = here.get(most);
    return { state: most, span: seen ? seen.span : -1 };
  });
}

function firstEndingAfter(lane, time) {
  let low = 0, high = lane.end.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.end[middle] <= time) low = middle + 1; else high = middle;
  }
  return low;
}

function seconds(value) {
  for (const [least, factor, name] of [[1, 1, "s"], [1e-3, 1e3, "ms"], [0, 1e6, "µs"]])
    if (value >= least) return (value * factor).toPrecision(3) + " " + name;
}

function nameCell(chart, lane, cell) {
  if (cell.state === NOTHING) return "";
  const said = [lane.name, chart.states[cell.state].name];
  if (cell.span >= 0) {
    said[1] += " " + seconds(lane.end[cell.span] - lane.start[cell.span]);
    if (lane.label[cell.span]) said.push(lane.label[cell.span]);
    said.push("at " + seconds(lane.start[cell.span] - chart.start_s));
  }
  return said.join("<br>");
}

function heatmap(chart, start, end, pixels) {
  const cells = Math.max(50, Math.min(2000, Math.round(pixels / CELL_PIXELS)));
  const width = (end - start) / cells;
  const rows = chart.lanes.map((lane) => mixCells(lane, start, end, cells));
  return {
    x: Array.from({ length: cells }, (_, at) => start - chart.start_s + (at + 0.5) * width),
    z: rows.map((row) => row.map((cell) => (cell.state === NOTHING ? null : cell.state))),
    text: rows.map((row, at) => row.map((cell) => nameCell(chart, chart.lanes[at], cell))),
  };
}

function drawTimeline(plot, chart) {
  const count = chart.states.length;
  const scale = chart.states.flatMap((state, at) => {
    const ink = colour(state.meaning);
    return [[at / count, ink], [(at + 1) / count, ink]];
  });
  const pixels = plot.clientWidth - 140;
  const trace = {
    type: "heatmap", y: chart.lanes.map((_, at) => at), ygap: chart.lanes.length > 60 ? 0 : 2,
    zmin: 0, zmax: count, zsmooth: false, showscale: false, colorscale: scale, hoverongaps: false,
    hovertemplate: "%{text}<extra></extra>", ...heatmap(chart, chart.start_s, chart.end_s, pixels),
  };
  trace.z = shiftToMiddle(trace.z);
  const layout = layoutOf({
    dragmode: "zoom", hovermode: "closest",
    xaxis: { tickformat: "~s", ticksuffix: "s", range: [0, chart.end_s - chart.start_s] },
    yaxis: {
      fixedrange: true, autorange: "reversed", showgrid: false, zeroline: false,
      tickvals: chart.lanes.map((_, at) => at), ticktext: chart.lanes.map((lane) => lane.name),
      nticks: 40, ...(chart.lanes.length > 60 ? { tickmode: "auto", ticktext: undefined } : {}),
    },
  });
  return Plotly.react(plot, [trace], layout, CONFIG);
}

/** States are the intervals [n, n+1) of the colour scale: aim at their middles. */
function shiftToMiddle(rows) {
  return rows.map((row) => row.map((state) => (state === null ? null : state + 0.5)));
}

function followZoom(plot, chart) {
  plot.on("plotly_relayout", (change) => {
    const named = Object.keys(change);
    if (!named.some((name) => name.startsWith("xaxis."))) return;
    const range = plot.layout.xaxis.range;
    const whole = change["xaxis.autorange"];
    const start = whole ? chart.start_s : Math.max(chart.start_s, chart.start_s + range[0]);
    const end = whole ? chart.end_s : Math.min(chart.end_s, chart.start_s + range[1]);
    if (!(end > start)) return;
    const drawn = heatmap(chart, start, end, plot.clientWidth - 140);
    Plotly.restyle(plot, { x: [drawn.x], z: [shiftToMiddle(drawn.z)], text: [drawn.text] }, [0]);
    if (whole) Plotly.relayout(plot, { "xaxis.range": [0, chart.end_s - chart.start_s] });
  });
}

// -- all of them

function draw(plot) {
  const chart = charts[plot.dataset.chart];
  if (chart.kind === "timeline") return drawTimeline(plot, chart);
  return Plotly.react(plot, inked(chart.data), layoutOf(chart.layout), CONFIG);
}

for (const plot of plots) {
  draw(plot);
  const chart = charts[plot.dataset.chart];
  if (chart.kind === "timeline") followZoom(plot, chart);
}

const isDark = matchMedia("(prefers-color-scheme: dark)");
isDark.addEventListener("change", () => plots.forEach(draw));
document.getElementById("theme").addEventListener("click", () => {
  const now = document.body.dataset.theme || (isDark.matches ? "dark" : "light");
  document.body.dataset.theme = now === "dark" ? "light" : "dark";
  plots.forEach(draw);
});
document.body.dataset.drawn = plots.length;
