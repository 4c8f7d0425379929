// What one round looks like: lanes of players, and the records that stand on them.

const MOST_OWNERS = 50;

function indexOf(player) {
  return Number(player.slice(player.lastIndexOf("-") + 1)) || 0;
}

export function roleOf(player) {
  return player === "model-owner" ? player : player.slice(0, player.lastIndexOf("-"));
}

/** Lanes from top to bottom, and of each player which is its own. Beyond fifty, owners share lanes. */
export function lanesOf(trace) {
  const seen = new Set();
  for (let at = 0; at < trace.count; at++) {
    for (const player of [trace.from(at), trace.to(at)]) if (player) seen.add(player);
  }
  const of = (role) => [...seen].filter((player) => roleOf(player) === role).sort((one, other) => indexOf(one) - indexOf(other));
  const owners = of("data-owner");
  const each = Math.ceil(owners.length / MOST_OWNERS);
  const lanes = [...of("model-owner"), ...of("compute-node")].map((player) => ({ name: player, role: roleOf(player), players: [player] }));
  for (let at = 0; at < owners.length; at += each) {
    const players = owners.slice(at, at + each);
    const name = players.length === 1 ? players[0] : `data-owners ${indexOf(players[0])} to ${indexOf(players.at(-1))}`;
    lanes.push({ name, role: "data-owner", players });
  }
  const place = new Map();
  lanes.forEach((lane, at) => lane.players.forEach((player) => place.set(player, at)));
  return { lanes, place };
}

/** The records of a round, sorted into what is drawn alike. */
export function sceneOf(trace, laid, round) {
  const scene = { round, begin: Infinity, end: -Infinity, messages: [], spans: [], phases: [], marks: [] };
  for (let at = 0; at < trace.count; at++) {
    if (trace.round[at] !== round) continue;
    const event = trace.event(at);
    if (event === "round") {
      scene.begin = trace.t[at];
      scene.end = trace.end[at];
    } else if (event === "message") {
      scene.messages.push(at);
    } else if (event === "span") {
      scene.spans.push(at);
    } else if (event === "phase") {
      scene.phases.push(at);
    } else {
      scene.marks.push(at);
    }
  }
  const all = [...scene.messages, ...scene.spans, ...scene.phases, ...scene.marks];
  if (!(scene.begin < Infinity)) {
    scene.begin = all.reduce((least, at) => Math.min(least, trace.t[at]), all.length ? Infinity : 0);
    scene.end = all.reduce((most, at) => Math.max(most, trace.t[at], trace.end[at]), scene.begin);
  }
  if (scene.end <= scene.begin) scene.end = scene.begin + 1;
  scene.fromLane = Int32Array.from(scene.messages, (at) => laid.place.get(trace.from(at)) ?? -1);
  scene.toLane = Int32Array.from(scene.messages, (at) => laid.place.get(trace.to(at)) ?? -1);
  return scene;
}

/** Stretches of the round in which nothing begins or ends, each at least a twelfth of it. */
function idleOf(trace, scene) {
  const times = [scene.begin, scene.end];
  for (const at of [...scene.messages, ...scene.spans, ...scene.marks, ...scene.phases]) {
    times.push(trace.t[at]);
    if (trace.end[at] >= 0 && trace.event(at) !== "phase") times.push(trace.end[at]);
  }
  const inside = times.filter((t) => t >= scene.begin && t <= scene.end).sort((one, other) => one - other);
  const least = (scene.end - scene.begin) / 12;
  const gaps = [];
  for (let at = 1; at < inside.length; at++) {
    if (inside[at] - inside[at - 1] >= least) gaps.push({ from: inside[at - 1], until: inside[at] });
  }
  return gaps;
}

/** How times are shown: as they are, or with idle stretches squeezed to a little each. */
export function warpOf(trace, scene, squeezes) {
  const idle = idleOf(trace, scene);
  const total = scene.end - scene.begin;
  const rest = total - idle.reduce((sum, gap) => sum + gap.until - gap.from, 0);
  const gaps = squeezes ? idle : [];
  const width = (rest > 0 ? rest : total) * 0.08;
  let lost = 0;
  for (const gap of gaps) {
    const span = gap.until - gap.from;
    gap.width = Math.min(width, span);
    gap.cut = span - gap.width;
    gap.shown = gap.from - lost;
    lost += gap.cut;
  }
  const to = (t) => {
    let shown = t;
    for (const gap of gaps) {
      if (t <= gap.from) break;
      shown -= t >= gap.until ? gap.cut : ((t - gap.from) * gap.cut) / (gap.until - gap.from);
    }
    return shown;
  };
  const from = (shown) => {
    let t = shown;
    for (const gap of gaps) {
      if (shown <= gap.shown) break;
      t += shown >= gap.shown + gap.width ? gap.cut : ((shown - gap.shown) * gap.cut) / gap.width;
    }
    return t;
  };
  return { gaps, to, from, low: to(scene.begin), high: to(scene.end), mostlyIdle: rest < total / 2 };
}

/** Milliseconds, seconds, as they fit. */
export function duration(ns) {
  const size = Math.abs(ns);
  if (size < 1e3) return `${Math.round(ns)} ns`;
  if (size < 1e6) return `${(ns / 1e3).toPrecision(3)} µs`;
  if (size < 1e8) return `${(ns / 1e6).toPrecision(3)} ms`;
  return `${Number((ns / 1e9).toPrecision(4))} s`;
}

/** A record in words. */
export function sentence(trace, scene, at) {
  const when = `at ${duration(trace.t[at] - scene.begin)}`;
  const who = trace.from(at);
  switch (trace.event(at)) {
    case "message": {
      const arrived = trace.end[at] < 0 ? "never arrived" : `arrived ${duration(trace.end[at] - trace.t[at])} later`;
      return `${trace.kind(at)}, ${who} → ${trace.to(at)}, ${trace.bytes[at].toLocaleString("en")} bytes, ${trace.class(at)}, in ${trace.phase(at)}: left ${when}, ${arrived}${waitedFor(trace, scene, at)}`;
    }
    case "span":
      return `${who} computed ${trace.kind(at)} from ${duration(trace.t[at] - scene.begin)} for ${duration(trace.end[at] - trace.t[at])}, in ${trace.phase(at)}`;
    case "deadline":
      return trace.to(at) ? `the permit of ${trace.to(at)} ran out ${when}` : `the deadline of ${trace.phase(at)} came ${when}`;
    default: {
      const about = trace.to(at) && trace.to(at) !== who ? ` about ${trace.to(at)}` : "";
      return `${trace.event(at)}: ${who}${about}, ${when}, in ${trace.phase(at)}${trace.detail(at) ? `: ${trace.detail(at)}` : ""}`;
    }
  }
}

/** The last thing that came or ended at the sender before it spoke. */
function waitedFor(trace, scene, at) {
  const who = trace.from(at);
  let best = -1;
  for (const other of [...scene.messages, ...scene.spans]) {
    const mine = trace.event(other) === "span" ? trace.from(other) === who : trace.to(other) === who;
    if (mine && trace.end[other] >= 0 && trace.end[other] <= trace.t[at] && other < at && (best < 0 || trace.end[other] >= trace.end[best])) best = other;
  }
  if (best < 0) return "";
  const what = trace.event(best) === "span" ? `its own ${trace.kind(best)}` : `${trace.kind(best)} from ${trace.from(best)}`;
  return `; before that it waited for ${what}`;
}
