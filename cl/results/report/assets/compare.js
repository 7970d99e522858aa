// The view of two runs side by side: B minus A.

const SIDES = [{ name: "A" }, { name: "B" }];
const NUMBERS = ["A", "B", "B − A"].map(name => ({ name, number: true }));

function picker(name, chosen) {
  const groups = new Map();
  DATA.runs.forEach((run, index) => {
    const title = `${DATA.streams[run.stream].label}, ${DATA.backbones[run.backbone].name}`;
    groups.set(title, [...(groups.get(title) ?? []), index]);
  });
  const option = index => {
    const made = el("option", { value: index }, `${nameOf(DATA.runs[index])} [${DATA.runs[index].hash}]`);
    made.selected = index === chosen;
    return made;
  };
  const options = Array.from(groups, ([title, runs]) => el("optgroup", { label: title }, ...runs.map(option)));
  return el("select", { name, id: `pick-${name}` }, ...options);
}

function pickers(a, b) {
  const side = (name, chosen) => [el("label", { for: `pick-${name}` }, name.toUpperCase()), picker(name, chosen)];
  const form = el("form", { class: "pick" }, ...side("a", a), ...side("b", b));
  form.addEventListener("change", () => {
    location.hash = `compare/${form.elements.a.value}/${form.elements.b.value}`;
  });
  return form;
}

function signed(difference, higherIsBetter = true) {
  if (difference === null) return { text: "–" };
  if (Math.abs(difference) < 5e-5) return { text: "0.00" };
  const better = difference > 0 === higherIsBetter;
  return { text: `${difference > 0 ? "+" : ""}${percent(difference)}`, class: better ? "better" : "worse" };
}

const minus = (y, x) => (x === null || y === null ? null : y - x);

function cautions(first, second) {
  const found = [];
  if (DATA.streams[first.stream].id !== DATA.streams[second.stream].id)
    found.push("These runs saw different streams (or class orders): their difference is not one of methods alone.");
  if (first.backbone !== second.backbone) found.push("These runs have different backbones.");
  if (first.limited || second.limited) found.push("A limited run is part of this comparison.");
  return found.map(warning);
}

function metricDifferences(first, second, rule) {
  const rows = DATA.metrics.map(([id, title, higherIsBetter, unit], index) => {
    const found = [first, second].map(run => answerOf(run, rule).metrics[index] ?? null);
    const [x, y] = found.map(value => (unit && value !== null ? value / 100 : value)); // shown as it is, not in percent
    return [x, y, [el("code", { title: unit ? `${title}, in ${unit}` : title }, ...breakable(id)), percent(x), percent(y), signed(minus(y, x), higherIsBetter)]];
  });
  const defined = rows.filter(([x, y]) => x !== null && y !== null).map(([, , row]) => row);
  return tableOf([{ name: "metric, %" }, ...NUMBERS], defined, { caption: `Metrics, rule ${rule}` });
}

function lastAccuracies(run, rule) {
  const { groups, count } = DATA.streams[run.stream];
  const last = answerOf(run, rule).correct.at(-1) ?? [];
  return groups.map((_, group) => (count[group] && last[group] != null ? last[group] / count[group] : null));
}

function groupDifferences(first, second, rule) {
  const [xs, ys] = [first, second].map(run => lastAccuracies(run, rule));
  if (xs.length !== ys.length) return null;
  const rows = DATA.streams[first.stream].groups.map(([name], group) => {
    const [x, y] = [xs[group], ys[group]];
    return [name, percent(x), percent(y), signed(minus(y, x))];
  });
  return tableOf([{ name: "last accuracy, %" }, ...NUMBERS], rows, { caption: "By group" });
}

function accuracyDifferences(first, second) {
  const names = Object.keys({ ...first.rules, ...second.rules });
  const common = names.filter(name => answerOf(first, name) && answerOf(second, name));
  const rule = common.includes(first.rule) ? first.rule : common[0];
  if (!rule) return [warning("These runs have no prediction rule in common.")];
  const series = [
    { label: `A: ${nameOf(first)}`, points: curveOf(first, rule) },
    { label: `B: ${nameOf(second)}`, points: curveOf(second, rule) },
  ];
  const tables = cards(metricDifferences(first, second, rule), groupDifferences(first, second, rule));
  return [tables, accuracyChart(series, testedPartly(first, rule))].filter(Boolean);
}

function costDifferences(first, second) {
  const stored = run => {
    const bytes = Object.values(run.stored);
    return bytes.includes(null) ? null : bytes.reduce((sum, each) => sum + each, 0) / 1e6;
  };
  const costs = [
    ["seconds of training", run => run.seconds.train],
    ["TFLOP, nothing memoised", tflop],
    ["parameters trained", run => run.parameters.trainable],
    ["stored between tasks, MB", stored],
  ];
  const rows = costs.map(([name, of]) => [name, compact(of(first), 6), compact(of(second), 6)]);
  return tableOf([{ name: "cost" }, ...NUMBERS.slice(0, 2)], rows, { caption: "Cost" });
}

// A table of the keys whose values differ, or a sentence where none does. `first`, `second`: {key: text}.
function differences(first, second, what, caption, none) {
  const keys = [...new Set([...Object.keys(first), ...Object.keys(second)])].filter(key => first[key] !== second[key]);
  if (!keys.length) return note(none);
  const rows = keys.map(key => [el("code", {}, ...breakable(key)), first[key] ?? "–", second[key] ?? "–"]);
  return tableOf([{ name: what }, ...SIDES], rows, { caption });
}

function optionDifferences(first, second) {
  const [x, y] = [first, second].map(run => DATA.configs[run.config]);
  const show = (entries, others) => {
    const differing = Object.entries(entries).filter(
      ([key, [value]]) => shortValue(value) !== shortValue(others[key]?.[0]),
    );
    return Object.fromEntries(differing.map(([key, [value, origin]]) => [key, `${shortValue(value)} (${origin})`]));
  };
  return differences(show(x, y), show(y, x), "option", "Options that differ", "No option differs.");
}

function compareView(a, b) {
  const [first, second] = [DATA.runs[a], DATA.runs[b]];
  if (!first || !second) return [note("A comparison needs two runs.")];
  const environments = [first, second].map(run => Object.fromEntries(flattened(DATA.environments[run.environment])));
  return [
    pickers(a, b),
    ...cautions(first, second),
    note("Two single runs differ by luck as well; clbench compare tests differences, paired over seeds and images."),
    ...accuracyDifferences(first, second),
    cards(
      costDifferences(first, second),
      optionDifferences(first, second),
      differences(...environments, "environment", "Environments differ", "The environment is the same."),
    ),
  ];
}
