/** A chart of lines, as SVG: no script, no font of its own, readable on light and dark pages. */
export type LineChart = {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
};

export type Axis = { readonly label: string; readonly scale: "linear" | "log"; readonly ticks: readonly number[] };
export type Series = { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] };

const size = { width: 720, height: 380 };
const plot = { left: 72, right: 700, top: 44, bottom: 320 };
/** Okabe and Ito's palette: told apart by colour-blind readers too. */
const colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"];

export function renderLineChart(chart: LineChart): string {
  const x = scaleOf(chart.x, plot.left, plot.right);
  const y = scaleOf(chart.y, plot.bottom, plot.top);
  const parts = [
    `<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>`,
    label(size.width / 2, 24, chart.title, 'text-anchor="middle" font-size="15"'),
    ...chart.x.ticks.map((tick) => verticalTick(x(tick), tick)),
    ...chart.y.ticks.map((tick) => horizontalTick(y(tick), tick)),
    label((plot.left + plot.right) / 2, plot.bottom + 44, chart.x.label, 'text-anchor="middle"'),
    label(16, 36, chart.y.label, ""),
    ...chart.series.map((series, i) => lineOf(series, colourAt(i), x, y)),
    ...chart.series.map((series, i) => legendEntry(series.name, colourAt(i), i)),
  ];
  const box = `0 0 ${size.width} ${size.height}`;
  const font = 'font-family="sans-serif" font-size="12" fill="#333333"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" role="img" ${font}>\n${parts.join("\n")}\n</svg>\n`;
}

function scaleOf({ scale, ticks }: Axis, from: number, to: number): (value: number) => number {
  const measure = scale === "log" ? Math.log10 : (value: number) => value;
  const low = measure(ticks[0] ?? 0);
  const high = measure(ticks.at(-1) ?? 1);
  return (value) => {
    const share = (measure(value) - low) / (high - low);
    return Math.round((from + Math.min(1, Math.max(0, share)) * (to - from)) * 10) / 10;
  };
}

function lineOf(series: Series, colour: string, x: (value: number) => number, y: (value: number) => number): string {
  const points = series.points.map(([at, value]) => `${x(at)},${y(value)}`).join(" ");
  return `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="2"/>`;
}

function verticalTick(at: number, tick: number): string {
  const line = `<line x1="${at}" x2="${at}" y1="${plot.top}" y2="${plot.bottom}" stroke="#e0e0e0"/>`;
  return `${line}${label(at, plot.bottom + 18, short(tick), 'text-anchor="middle"')}`;
}

function horizontalTick(at: number, tick: number): string {
  const line = `<line x1="${plot.left}" x2="${plot.right}" y1="${at}" y2="${at}" stroke="#e0e0e0"/>`;
  return `${line}${label(plot.left - 8, at + 4, short(tick), 'text-anchor="end"')}`;
}

function legendEntry(name: string, colour: string, index: number): string {
  const y = plot.bottom - 16 - index * 18;
  const line = `<line x1="520" x2="544" y1="${y - 4}" y2="${y - 4}" stroke="${colour}" stroke-width="3"/>`;
  return `${line}${label(550, y, name, "")}`;
}

function label(x: number, y: number, text: string, attributes: string): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`;
}

function short(value: number): string {
  return value >= 10_000 ? `${value / 1_000}k` : String(value);
}

function colourAt(index: number): string {
  return colours[index % colours.length] ?? "#000000";
}
