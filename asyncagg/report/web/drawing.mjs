// Paints a scene on a canvas: phases as bands, computing as bars, messages as lines, or as density where they are many.
import { duration } from "./scene.mjs";

export const LEFT = 150;
export const TOP = 34;
const MOST_LINES = 3000;
const PATH = 8;

/** Where a time and a lane are on the canvas. */
export function scaleOf(view, warp, width, height, count) {
  const row = (height - TOP - 4) / Math.max(count, 1);
  return {
    row,
    x: (t) => LEFT + ((warp.to(t) - view.begin) / (view.end - view.begin)) * (width - LEFT),
    y: (lane) => TOP + (lane + 0.5) * row,
    t: (x) => view.begin + ((x - LEFT) / (width - LEFT)) * (view.end - view.begin),
    lane: (y) => Math.floor((y - TOP) / row),
  };
}

export function paint(context, width, height, state) {
  const { trace, laid, scene, view, warp, colours, paper } = state;
  const scale = scaleOf(view, warp, width, height, laid.lanes.length);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  paintPhases(context, height, state, scale);
  paintGaps(context, height, state, scale);
  paintLanes(context, width, state, scale);
  context.save();
  context.beginPath();
  context.rect(LEFT, 0, width - LEFT, height);
  context.clip();
  paintPath(context, state, scale);
  paintMessages(context, width, height, state, scale);
  for (const at of scene.spans) {
    const lane = laid.place.get(trace.from(at));
    if (trace.end[at] <= trace.t[at] || trace.t[at] > view.now) continue;
    const x = scale.x(trace.t[at]);
    const thick = Math.max(3, Math.min(10, scale.row * 0.6));
    context.globalAlpha = state.matches(at) ? 0.85 : 0.12;
    context.fillStyle = shadeOf(laid.lanes[lane], colours);
    context.fillRect(x, scale.y(lane) - thick / 2, Math.max(1, scale.x(Math.min(trace.end[at], view.now)) - x), thick);
  }
  context.globalAlpha = 1;
  for (const at of scene.marks) paintMark(context, state, scale, at);
  if (view.now < Infinity) {
    context.strokeStyle = paper.text;
    line(context, scale.x(view.now), TOP, scale.x(view.now), height);
  }
  context.restore();
}

function paintPhases(context, height, { trace, scene, view, paper }, scale) {
  scene.phases.forEach((at, place) => {
    const next = place + 1 < scene.phases.length ? trace.t[scene.phases[place + 1]] : scene.end;
    const from = Math.max(LEFT, scale.x(trace.t[at]));
    const until = scale.x(next);
    if (until < LEFT || next < view.from || trace.t[at] > view.until) return;
    context.fillStyle = place % 2 ? paper.back : paper.band;
    context.fillRect(from, 0, until - from, height);
    context.fillStyle = paper.soft;
    const name = trace.phase(at);
    if (until - from > context.measureText(name).width + 6) context.fillText(name, from + 3, 11);
  });
}

/** Idle stretches that are squeezed, and how long they were. */
function paintGaps(context, height, { warp, paper }, scale) {
  for (const gap of warp.gaps) {
    const [from, until] = [Math.max(LEFT, scale.x(gap.from)), scale.x(gap.until)];
    if (until <= from) continue;
    context.globalAlpha = 0.55;
    context.fillStyle = paper.line;
    context.fillRect(from, TOP, until - from, height - TOP);
    context.globalAlpha = 1;
    context.fillStyle = paper.text;
    const text = duration(gap.until - gap.from);
    const wide = context.measureText(text).width;
    if (until - from > wide) context.fillText(text, (from + until - wide) / 2, TOP + 12);
  }
}

function paintLanes(context, width, { laid, colours, paper }, scale) {
  const every = Math.ceil(11 / scale.row);
  laid.lanes.forEach((lane, at) => {
    context.strokeStyle = paper.line;
    line(context, LEFT, scale.y(at), width, scale.y(at));
    if (at % every) return;
    context.fillStyle = shadeOf(lane, colours);
    context.fillRect(2, scale.y(at) - 4, 8, 8);
    context.fillStyle = paper.text;
    context.fillText(lane.name, 14, scale.y(at) + 4, LEFT - 18);
  });
}

function paintPath(context, { scene, path, colours }, scale) {
  let t = scene.begin;
  for (const [kind, ns] of path) {
    context.fillStyle = colours.kinds[kind];
    context.fillRect(scale.x(t), TOP - PATH - 4, Math.max(1, scale.x(t + ns) - scale.x(t)), PATH);
    t += ns;
  }
}

function paintMessages(context, width, height, state, scale) {
  const { trace, scene, view } = state;
  const visible = [];
  scene.messages.forEach((at, place) => {
    const end = trace.end[at] < 0 ? trace.t[at] : trace.end[at];
    if (end >= view.from && trace.t[at] <= Math.min(view.until, view.now)) visible.push(place);
  });
  state.visible = visible.length;
  if (visible.length > MOST_LINES) paintDensity(context, width, height, state, scale, visible);
  else for (const place of visible) paintMessage(context, state, scale, place);
}

function paintMessage(context, state, scale, place) {
  const { trace, scene, view, colours, picked } = state;
  const at = scene.messages[place];
  const arrived = trace.end[at] >= 0;
  const x = scale.x(trace.t[at]);
  const y = scale.y(scene.fromLane[place]);
  const full = scale.x(arrived ? trace.end[at] : trace.t[at] + (view.until - view.from) / 40);
  const to = scale.y(scene.toLane[place]);
  const part = arrived && trace.end[at] > view.now ? (view.now - trace.t[at]) / (trace.end[at] - trace.t[at]) : arrived ? 1 : 0.5;
  context.strokeStyle = colours.classes[trace.class(at)] ?? "#777777";
  context.globalAlpha = at === picked ? 1 : state.matches(at) ? 0.65 : 0.06;
  context.lineWidth = at === picked ? 3 : 1;
  const endX = x + (full - x) * part;
  const endY = y + (to - y) * part;
  line(context, x, y, endX, endY);
  if (!arrived) {
    context.strokeStyle = "#d00000";
    cross(context, endX, endY, 3);
  } else if (part === 1 && scale.row > 9) {
    context.fillStyle = context.strokeStyle;
    context.fillRect(endX - 1.5, endY - 1.5, 3, 3);
  }
  context.globalAlpha = 1;
  context.lineWidth = 1;
}

/** So many lines would be one blot: at every lane, how much left it at that time. */
function paintDensity(context, width, height, { trace, laid, scene, paper, matches }, scale, visible) {
  const columns = Math.max(1, Math.floor((width - LEFT) / 2));
  const sums = new Float64Array(columns * laid.lanes.length);
  let most = 0;
  for (const place of visible) {
    const at = scene.messages[place];
    if (!matches(at)) continue;
    const column = Math.floor((scale.x(trace.t[at]) - LEFT) / 2);
    if (column < 0 || column >= columns) continue;
    const cell = scene.fromLane[place] * columns + column;
    sums[cell] += 1;
    most = Math.max(most, sums[cell]);
  }
  context.fillStyle = paper.text;
  for (let lane = 0; lane < laid.lanes.length; lane++) {
    for (let column = 0; column < columns; column++) {
      const count = sums[lane * columns + column];
      if (!count) continue;
      context.globalAlpha = 0.2 + (0.8 * Math.log1p(count)) / Math.log1p(most);
      context.fillRect(LEFT + column * 2, scale.y(lane) - scale.row * 0.45, 2, Math.max(1, scale.row * 0.9));
    }
  }
  context.globalAlpha = 1;
}

function paintMark(context, { trace, laid, view }, scale, at) {
  if (trace.t[at] > view.now) return;
  const event = trace.event(at);
  const x = scale.x(trace.t[at]);
  const lane = laid.place.get(event === "drop" || event === "refuse" ? trace.to(at) : trace.from(at));
  if (lane === undefined) return;
  context.strokeStyle = event === "deadline" ? "#d55e00" : "#d00000";
  context.lineWidth = 2;
  if (event === "deadline") line(context, x, TOP - 2, x, scale.y(laid.lanes.length - 0.5));
  else cross(context, x, scale.y(lane), 5);
  context.lineWidth = 1;
}

function shadeOf(lane, colours) {
  if (lane.role !== "data-owner") return colours.roles[lane.role];
  const index = Number(lane.players[0].slice(lane.players[0].lastIndexOf("-") + 1)) || 0;
  return colours.owners[index % colours.owners.length];
}

function line(context, x, y, toX, toY) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(toX, toY);
  context.stroke();
}

function cross(context, x, y, size) {
  line(context, x - size, y - size, x + size, y + size);
  line(context, x - size, y + size, x + size, y - size);
}
