// The sections that are there only if their tables were given: comparison, efficiency, ranking.
(() => {
  const { data, el, svg, byId, isNumber, text, METRICS } = LeanSeg;

  function show(id, title, note, ...content) {
    byId(id).hidden = false;
    byId(id).replaceChildren(
      el("div", { class: "heading" }, el("h2", { text: title })),
      el("p", { class: "note", text: note }),
      ...content.filter(Boolean),
    );
  }

  // A forest plot: rows of { name, colour, low, mid, high, star, lines }, a vertical line at `zero`; `whole`
  // numbers on the axis or any.
  function forest(rows, title, { zero, whole } = {}) {
    const [wide, left, right, line] = [540, 172, 18, 24];
    const tall = rows.length * line + 34;
    const ends = rows.flatMap((row) => [row.low, row.high, row.mid]).filter(isNumber);
    if (!ends.length) return el("p", { class: "note", text: "no figures" });
    const reach = (Math.max(...ends, zero ?? -Infinity) - Math.min(...ends, zero ?? Infinity)) * 0.06 || 0.01;
    const [low, high] = [
      Math.min(...ends, zero ?? Infinity) - reach,
      Math.max(...ends, zero ?? -Infinity) + reach,
    ];
    const x = (value) => left + ((value - low) / (high - low)) * (wide - left - right);
    const picture = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "group", "aria-label": title });
    for (const tick of LeanSeg.ticks(low, high, 4).filter((at) => !whole || Number.isInteger(at))) {
      picture.append(
        svg("line", {
          x1: x(tick),
          x2: x(tick),
          y1: 4,
          y2: tall - 26,
          class: tick === zero ? "zero" : "grid",
        }),
        svg("text", {
          x: x(tick),
          y: tall - 8,
          "text-anchor": "middle",
          class: "tick",
          text: String(tick).replace("-", "−"),
        }),
      );
    }
    rows.forEach((row, i) => {
      if (!isNumber(row.mid)) return;
      const y = line * (i + 0.5) + 4;
      const [from, to] = [isNumber(row.low) ? row.low : row.mid, isNumber(row.high) ? row.high : row.mid];
      picture.append(
        svg("text", {
          x: left - 12,
          y: y + 4,
          "text-anchor": "end",
          class: row.bold ? "label bold" : "label",
          text: row.name + (row.star ? " *" : ""),
        }),
        svg(
          "g",
          {
            tabindex: 0,
            role: "img",
            "aria-label": row.lines.join(", "),
            ...LeanSeg.tipped(() => row.lines),
          },
          svg("line", { x1: x(from), x2: x(to), y1: y, y2: y, class: "interval" }),
          svg("circle", { cx: x(row.mid), cy: y, r: 6, class: "dot", fill: row.colour || "var(--accent)" }),
        ),
      );
    });
    return picture;
  }

  function comparison() {
    const { name, rows } = data.comparison;
    const colours = Object.fromEntries(
      data.structures.map((structure) => [structure.name, structure.colour]),
    );
    const metrics = data.metrics.filter(
      (metric) => METRICS[metric].best === 1 && rows.some((row) => row.metric === metric),
    );
    const cards = metrics.map((metric) =>
      el(
        "div",
        { class: "card figure" },
        el("h3", { text: `Difference in ${METRICS[metric].name}` }),
        forest(
          rows
            .filter((row) => row.metric === metric)
            .map((row) => ({
              name: row.structure,
              colour: colours[row.structure],
              low: row.low,
              mid: row.difference,
              high: row.high,
              bold: !colours[row.structure],
              star: isNumber(row.wilcoxon_holm_p) && row.wilcoxon_holm_p < 0.05,
              lines: [
                row.structure,
                `difference ${text(row.difference, 4)}`,
                `95 % CI ${text(row.low, 4)} to ${text(row.high, 4)}`,
                `Wilcoxon p ${text(row.wilcoxon_p, 4)}, after Holm ${text(row.wilcoxon_holm_p, 4)}`,
                `${row.cases} cases`,
              ],
            })),
          `Differences in ${METRICS[metric].name}`,
          { zero: 0 },
        ),
      ),
    );
    show(
      "comparison",
      `Against ${name}`,
      `Paired differences, this submission minus ${name}: right of the line this one is better. ` +
        "Bars are 95 % bootstrap confidence intervals, a star marks p < 0.05 (Wilcoxon signed-rank, Holm-corrected).",
      el("div", { class: "pair" }, ...cards),
    );
  }

  const MEASURES = {
    Time: ["Time", "s"],
    MaxGPU_Mem: ["Peak GPU memory", "MB"],
    AUC_GPU_Time: ["GPU memory × time", "MB·s"],
    OwnRAM_Max_MB: ["Peak RAM of the container", "MB"],
    MaxRAM: ["Peak RAM of the host", "MB"],
  };

  const has = (column) => data.cases.some((item) => item.efficiency && isNumber(item.efficiency[column]));

  // Cases from slow to quick as bars, with the tolerance as a line.
  function bars(column) {
    const points = data.cases
      .filter((item) => item.efficiency && isNumber(item.efficiency[column]))
      .map((item) => ({ item, value: item.efficiency[column] }))
      .sort((a, b) => b.value - a.value);
    if (!points.length || !points.some((point) => point.value > 0)) return null;
    const [wide, tall, left, bottom] = [540, 210, 62, 22];
    const tolerance = data.tolerances[column];
    const high = Math.max(points[0].value, tolerance || 0) * 1.05;
    const y = (value) => 8 + (1 - value / high) * (tall - bottom - 8);
    const step = (wide - left - 8) / points.length;
    const [name, unit] = MEASURES[column];
    const picture = svg("svg", {
      viewBox: `0 0 ${wide} ${tall}`,
      role: "group",
      "aria-label": `${name} of each case`,
    });
    for (const tick of LeanSeg.ticks(0, high, 4)) {
      picture.append(
        svg("line", { x1: left, x2: wide - 8, y1: y(tick), y2: y(tick), class: "grid" }),
        svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end", class: "tick", text: String(tick) }),
      );
    }
    points.forEach(({ item, value }, i) =>
      picture.append(
        svg("rect", {
          x: left + step * i + step * 0.1,
          width: step * 0.8,
          y: y(value),
          height: Math.max(1, y(0) - y(value)),
          rx: Math.min(3, step * 0.3),
          class: tolerance !== undefined && value > tolerance ? "bar over" : "bar",
          ...LeanSeg.tipped(() => [item.stem, `${name}: ${value.toFixed(1)} ${unit}`]),
          onclick: () => LeanSeg.openCase(item),
        }),
      ),
    );
    if (tolerance !== undefined) {
      picture.append(
        svg("line", { x1: left, x2: wide - 8, y1: y(tolerance), y2: y(tolerance), class: "tolerance" }),
        svg("text", {
          x: wide - 10,
          y: y(tolerance) - 6,
          "text-anchor": "end",
          class: "label",
          text: `tolerance ${tolerance} ${unit}`,
        }),
      );
    }
    picture.append(
      svg("text", { x: left, y: tall - 5, class: "tick", text: `${points.length} cases, highest first` }),
    );
    return el("div", { class: "card figure" }, el("h3", { text: `${name} (${unit})` }), picture);
  }

  // Memory over time, a line a case; the pointer or the keyboard picks one out.
  function traces(quantity, name, tolerance) {
    const lines = data.cases.filter((item) => item.trace && item.trace[quantity].some(isNumber));
    if (!lines.length) return null;
    const [wide, tall, left, bottom] = [1120, 300, 62, 40];
    const values = lines.flatMap((item) => item.trace[quantity]).filter(isNumber);
    const high = Math.max(...values, tolerance || 0) * 1.05;
    const last = Math.max(...lines.flatMap((item) => item.trace.Time_s));
    const x = (time) => left + (time / last) * (wide - left - 8);
    const y = (value) => 8 + (1 - value / high) * (tall - bottom - 8);
    const picture = svg("svg", {
      viewBox: `0 0 ${wide} ${tall}`,
      role: "group",
      "aria-label": `${name} over time, a line per case`,
    });
    for (const tick of LeanSeg.ticks(0, high, 4)) {
      picture.append(
        svg("line", { x1: left, x2: wide - 8, y1: y(tick), y2: y(tick), class: "grid" }),
        svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end", class: "tick", text: String(tick) }),
      );
    }
    for (const tick of LeanSeg.ticks(0, last, 8))
      picture.append(
        svg("text", { x: x(tick), y: tall - 20, "text-anchor": "middle", class: "tick", text: String(tick) }),
      );
    picture.append(
      svg("text", {
        x: (wide + left) / 2,
        y: tall - 2,
        "text-anchor": "middle",
        class: "tick",
        text: "time (s)",
      }),
    );
    for (const item of lines) {
      const points = item.trace.Time_s.map((time, i) => [time, item.trace[quantity][i]]).filter(([, value]) =>
        isNumber(value),
      );
      picture.append(
        svg("polyline", {
          points: points.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
          class: "curve",
          tabindex: 0,
          role: "img",
          "aria-label": item.stem,
          ...LeanSeg.tipped(() => [
            item.stem,
            `peak ${Math.max(...points.map((p) => p[1])).toFixed(0)} MB`,
            `${points.at(-1)[0].toFixed(1)} s`,
          ]),
          onclick: () => LeanSeg.openCase(item),
        }),
      );
    }
    if (tolerance !== undefined)
      picture.append(
        svg("line", { x1: left, x2: wide - 8, y1: y(tolerance), y2: y(tolerance), class: "tolerance" }),
      );
    return el("div", { class: "card figure" }, el("h3", { text: `${name} over time (MB)` }), picture);
  }

  function ranking() {
    const number = (value) => (value === "" || value === undefined ? null : Number(value));
    const rows = data.ranking.map((row) => ({
      name: row.Submission,
      low: number(row.Place_low),
      mid: number(row.Place_median),
      high: number(row.Place_high),
      lines: [
        row.Submission,
        `place ${row.Place}`,
        `mean rank ${row.Score}`,
        `95 % of places ${row.Place_low} to ${row.Place_high}`,
        `first in ${(100 * row.First_share).toFixed(0)} % of resamples`,
      ],
    }));
    const metrics = Object.keys(data.ranking[0]).filter((column) => column.startsWith("Rank_"));
    const cell = (value, digits) =>
      el("td", { class: "number", text: value === "" ? "–" : Number(value).toFixed(digits) });
    const table = el(
      "table",
      {},
      el("caption", { text: "Ranking" }),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ...["Place", "Submission", "Mean rank", ...metrics.map((m) => m.slice(5).replace("_", " "))].map(
            (name, i) => el("th", { scope: "col", class: i === 1 ? null : "number", text: name }),
          ),
        ),
      ),
      el(
        "tbody",
        {},
        ...data.ranking.map((row) =>
          el(
            "tr",
            {},
            cell(row.Place, 0),
            el("th", { scope: "row", text: row.Submission }),
            cell(row.Score, 2),
            ...metrics.map((metric) => cell(row[metric], 2)),
          ),
        ),
      ),
    );
    show(
      "ranking",
      "Ranking",
      "Ranked per case and metric, averaged over metrics and cases; 1 is best. Dots and bars: median and 95 % of the places in resamples of the cases.",
      el("div", { class: "card scroll spaced" }, table),
      el(
        "div",
        { class: "card figure small" },
        el("h3", { text: "Place in resamples" }),
        forest(rows, "Places in resamples of the cases", { whole: true }),
      ),
    );
  }

  function efficiency() {
    const columns = ["Time", "MaxGPU_Mem", "AUC_GPU_Time", has("OwnRAM_Max_MB") ? "OwnRAM_Max_MB" : "MaxRAM"];
    const cards = columns.map(bars).filter(Boolean);
    if (cards.length) {
      show(
        "efficiency",
        "Time and memory",
        "Each bar is a case, run in a container of its own. What is above the tolerance counts against the submission.",
        traces("GPU_MB", "GPU memory", data.tolerances.MaxGPU_Mem),
        traces("OwnRAM_MB", "RAM of the container") || traces("RAM_MB", "RAM of the host"),
        el("div", { class: "pair" }, ...cards),
      );
    }
  }

  LeanSeg.sections = () => {
    if (data.comparison) comparison();
    if (data.cases.some((item) => item.efficiency)) efficiency();
    if (data.ranking) ranking();
  };
})();
