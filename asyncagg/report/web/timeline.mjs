// The timeline: rounds, zoom, pan, search, replay and what is pointed at. Everything is in reach of the keyboard.
import { duration, lanesOf, sceneOf, sentence, warpOf } from "./scene.mjs";
import { LEFT, paint, scaleOf } from "./drawing.mjs";

const NEAR = 6;

export class Timeline {
  constructor(trace, value, parts) {
    this.parts = parts;
    this.paths = value.path;
    this.state = { trace, laid: lanesOf(trace), colours: value.colours, picked: -1, matches: () => true, visible: 0 };
    this.frames = [];
    this.waits = false;
    for (const round of value.rounds) parts.round.add(new Option(String(round), String(round)));
    parts.round.value = String(value.first);
    this.listen();
    this.show(value.first);
  }

  show(round) {
    const { state } = this;
    state.scene = sceneOf(state.trace, state.laid, round);
    state.path = this.paths[round] ?? [];
    state.picked = -1;
    this.parts.squeeze.checked = warpOf(state.trace, state.scene, false).mostlyIdle;
    this.parts.lanes.style.height = `${Math.max(220, Math.min(760, 40 + state.laid.lanes.length * 22))}px`;
    this.squeeze();
  }

  squeeze() {
    const { state } = this;
    state.warp = warpOf(state.trace, state.scene, this.parts.squeeze.checked);
    this.whole();
  }

  whole() {
    const { low, high } = this.state.warp;
    this.look(low, high);
  }

  look(begin, end) {
    const { warp } = this.state;
    const widest = warp.high - warp.low;
    const width = Math.min(Math.max(end - begin, widest / 1e5, 1), widest);
    const left = Math.min(Math.max(begin, warp.low), warp.high - width);
    this.state.view = { begin: left, end: left + width, from: warp.from(left), until: warp.from(left + width), now: 0 };
    this.replay();
  }

  replay() {
    const { warp, view } = this.state;
    const part = Number(this.parts.replay.value) / 1000;
    view.now = part >= 1 ? Infinity : warp.from(warp.low + part * (warp.high - warp.low));
    this.request();
  }

  zoom(factor, middle) {
    const { view } = this.state;
    const at = middle ?? (view.begin + view.end) / 2;
    this.look(at - (at - view.begin) * factor, at + (view.end - at) * factor);
  }

  pan(part) {
    const { view } = this.state;
    const by = (view.end - view.begin) * part;
    this.look(view.begin + by, view.end + by);
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    const { trace } = this.state;
    const hit = (name) => name.toLowerCase().includes(wanted);
    this.state.matches = wanted ? (at) => hit(trace.kind(at)) || hit(trace.from(at)) || hit(trace.to(at)) : () => true;
    const { scene, matches } = this.state;
    const count = [...scene.messages, ...scene.spans].filter((at) => matches(at)).length;
    this.say(wanted ? `${count.toLocaleString("en")} messages and computations of round ${scene.round} match` : "");
    this.request();
  }

  say(text) {
    this.parts.about.textContent = text || this.overview();
  }

  overview() {
    const { scene, trace } = this.state;
    const lost = scene.messages.filter((at) => trace.end[at] < 0).length;
    return `round ${scene.round}: ${scene.messages.length.toLocaleString("en")} messages${lost ? `, ${lost} of them never arrived` : ""}, ${duration(scene.end - scene.begin)}. Point at a line, a bar or a lane.`;
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  request() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      const began = performance.now();
      this.draw();
      this.frames.push(performance.now() - began);
    });
  }

  draw() {
    const { lanes } = this.parts;
    const { width, height } = lanes.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    if (lanes.width !== Math.round(width * ratio) || lanes.height !== Math.round(height * ratio)) {
      lanes.width = Math.round(width * ratio);
      lanes.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.state.paper = { back: colour("back"), text: colour("text"), soft: colour("soft"), line: colour("line"), band: colour("band") };
    const context = lanes.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint(context, width, height, this.state);
  }

  // -- what the reader does -----------------------------------------------------------------------------------------

  listen() {
    const { round, find, replay, lanes, out, whole, squeeze } = this.parts;
    round.addEventListener("change", () => this.show(Number(round.value)));
    find.addEventListener("input", () => this.find(find.value));
    replay.addEventListener("input", () => this.replay());
    out.addEventListener("click", () => this.zoom(2));
    this.parts.in.addEventListener("click", () => this.zoom(0.5));
    squeeze.addEventListener("change", () => this.squeeze());
    whole.addEventListener("click", () => this.whole());
    lanes.addEventListener("keydown", (event) => this.key(event));
    lanes.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    lanes.addEventListener("pointerdown", (event) => this.grab(event));
    lanes.addEventListener("pointermove", (event) => this.move(event));
    lanes.addEventListener("pointerup", () => { this.held = undefined; });
    window.addEventListener("resize", () => this.request());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.request());
  }

  key(event) {
    const does = {
      ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
      "-": () => this.zoom(2), 0: () => this.whole(), n: () => this.step(1), p: () => this.step(-1),
    }[event.key];
    if (does === undefined) return;
    event.preventDefault();
    does();
  }

  /** The next or the one before of the messages that match. */
  step(by) {
    const { scene, matches, picked } = this.state;
    const found = scene.messages.filter((at) => matches(at));
    if (!found.length) return;
    const place = found.indexOf(picked);
    this.pick(found[place < 0 ? 0 : (place + by + found.length) % found.length]);
  }

  pick(at) {
    this.state.picked = at;
    this.say(at < 0 ? "" : sentence(this.state.trace, this.state.scene, at));
    this.request();
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.scale().t(event.offsetX));
  }

  grab(event) {
    this.held = { x: event.offsetX, ...this.state.view };
    this.parts.lanes.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (this.held === undefined) {
      this.pick(this.under(event.offsetX, event.offsetY));
      return;
    }
    const { width } = this.parts.lanes.getBoundingClientRect();
    const by = ((this.held.x - event.offsetX) / (width - LEFT)) * (this.held.end - this.held.begin);
    this.look(this.held.begin + by, this.held.end + by);
  }

  scale() {
    const { width, height } = this.parts.lanes.getBoundingClientRect();
    return scaleOf(this.state.view, this.state.warp, width, height, this.state.laid.lanes.length);
  }

  /** The record under the pointer; -1 where there is none. */
  under(x, y) {
    const { trace, scene, laid, view, visible, matches } = this.state;
    const scale = this.scale();
    const lane = scale.lane(y);
    const near = scene.marks.filter((at) => Math.abs(scale.x(trace.t[at]) - x) < NEAR);
    const here = (at) => laid.place.get(["drop", "refuse"].includes(trace.event(at)) ? trace.to(at) : trace.from(at)) === lane;
    const mark = near.find((at) => trace.event(at) !== "deadline" && here(at)) ?? near.find((at) => trace.event(at) === "deadline");
    if (mark !== undefined) return mark;
    for (const at of scene.spans) {
      const on = laid.place.get(trace.from(at)) === lane && trace.end[at] > trace.t[at];
      if (on && x >= scale.x(trace.t[at]) - 1 && x <= scale.x(trace.end[at]) + 1) return at;
    }
    let best = -1;
    let least = NEAR;
    if (visible > 3000) return best;
    scene.messages.forEach((at, place) => {
      if (trace.t[at] > view.now || !matches(at)) return;
      const end = trace.end[at] < 0 ? trace.t[at] : trace.end[at];
      const far = distance(x, y, scale.x(trace.t[at]), scale.y(scene.fromLane[place]), scale.x(end), scale.y(scene.toLane[place]));
      if (far < least) [best, least] = [at, far];
    });
    return best;
  }
}

/** Of a point from a piece of a line. */
function distance(x, y, fromX, fromY, toX, toY) {
  const [wide, high] = [toX - fromX, toY - fromY];
  const length = wide * wide + high * high;
  const part = length ? Math.max(0, Math.min(1, ((x - fromX) * wide + (y - fromY) * high) / length)) : 0;
  return Math.hypot(x - fromX - part * wide, y - fromY - part * high);
}
