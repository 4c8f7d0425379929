// The trace that the page holds: columns, unpacked into typed arrays.

/** @returns the value that stands in the page as base64 of deflated JSON. */
export async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/** Times are in nanoseconds since the start of the run; `end` is -1 where there is none. */
export function traceOf(value) {
  const count = value.t.length;
  const t = new Float64Array(count);
  const end = new Float64Array(count);
  let now = 0;
  for (let at = 0; at < count; at++) {
    now += value.t[at];
    t[at] = now;
    end[at] = value.took[at] < 0 ? -1 : now + value.took[at];
  }
  const texts = {};
  for (const field of ["phase", "event", "from", "to", "kind", "class", "detail"]) {
    texts[field] = (at) => value.names[field][value[field][at]];
  }
  return { count, t, end, bytes: value.bytes, round: value.round, attempt: value.attempt, ...texts };
}
