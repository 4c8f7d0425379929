// Brings the page to life; without a script it is complete but for the timeline.
import { traceOf, unpacked } from "./data.mjs";
import { Timeline } from "./timeline.mjs";

const part = (name) => document.getElementById(name);

if (part("lanes")) {
  unpacked(part("trace").textContent).then((value) => {
    const names = ["lanes", "about", "round", "find", "replay", "in", "out", "whole", "squeeze"];
    const parts = Object.fromEntries(names.map((name) => [name, part(name)]));
    const timeline = new Timeline(traceOf(value), value, parts);
    timeline.say("");
  });
}
