// The sections that are there only if their tables were given: comparison, efficiency.
(() => {
  const { data, el, svg, byId, isNumber, text, counted, METRICS } = LeanSeg;

  function show(id, title, note, ...content) {
    byId(id).hidden = false;
    byId(id).replaceChildren(
      el("div", { class: "heading" }, el("h2", { text: title })),
      el("p", { class: "note", text: note }),
      ...content.filter(Boolean),
    );
  }

  // A forest plot: rows of { name, colour, low, mid, high, star, lines }, a vertical line at `zero`; `whole`
  // numbers from 1 on the axis, or any.
  function forest(rows, title, { zero, whole } = {}) {
    const [wide, left, right, line] = LeanSeg.narrow ? [330, 142, 12, 24] : [540, 172, 18, 24];
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
    for (const tick of LeanSeg.ticks(low, high, 4).filter((at) => !whole || (Number.isInteger(at) && at > 0))) {
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

  Object.assign(LeanSeg, { show, forest });

  function comparison() {
    const { name, rows, lost, differently } = data.comparison;
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
                ...(isNumber(row.low) ? [`95 % CI ${text(row.low, 4)} to ${text(row.high, 4)}`] : []),
                ...(isNumber(row.wilcoxon_p)
                  ? [`Wilcoxon p ${text(row.wilcoxon_p, 4)}, after Holm ${text(row.wilcoxon_holm_p, 4)}`]
                  : []),
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
        "Bars are 95 % bootstrap confidence intervals, a star marks p < 0.05 (Wilcoxon signed-rank, Holm-corrected); fewer than six cases have neither.",
      ...differently.map((words) => el("p", { class: "error", text: words })),
      el("div", { class: "pair" }, ...cards),
      ...lost.map((remark) => el("p", { class: "note", text: remark })),
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
    const [wide, tall, left, bottom] = LeanSeg.narrow ? [330, 190, 48, 22] : [540, 210, 62, 22];
    const tolerance = data.tolerances[column];
    // The scale is that of the cases that ended well: an hour's penalty would flatten all others.
    const well = points.filter(({ item }) => !item.efficiency.ending);
    const high = Math.max((well.length ? well : points)[0].value, tolerance || 0) * 1.1;
    const y = (value) => 8 + (1 - Math.min(1, value / high)) * (tall - bottom - 8);
    const beyond = points.filter((point) => point.value > high).length;
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
          x: wide - 8,
          y: tall - 5,
          "text-anchor": "end",
          class: "tick",
          text: `- - tolerance ${tolerance} ${unit}`,
        }),
      );
    }
    picture.append(
      svg("text", { x: left, y: tall - 5, class: "tick", text: `${counted(points.length, "case")}${points.length > 1 ? ", highest first" : ""}${beyond ? `; ${beyond} beyond` : ""}` }),
    );
    return el("div", { class: "card figure" }, el("h3", { text: `${name} (${unit})` }), picture);
  }

  // Memory over time, a line a case; the pointer or the keyboard picks one out.
  function traces(quantity, name, tolerance) {
    const lines = data.cases.filter((item) => item.trace && item.trace[quantity].some(isNumber));
    if (!lines.length) return null;
    const [wide, tall, left, bottom] = LeanSeg.narrow ? [330, 230, 48, 40] : [1120, 300, 62, 40];
    const values = lines.flatMap((item) => item.trace[quantity]).filter(isNumber);
    const high = Math.max(...values, tolerance || 0) * 1.05;
    // The scale is that of the runs that ended; one that hung until it was stopped would press them together.
    const ends = (items) => items.map((item) => item.trace.Time_s.at(-1)).filter(isNumber);
    const ended = lines.filter((item) => !(item.efficiency && item.efficiency.ending));
    const last = Math.max(...(ended.length ? ends(ended) : ends(lines))) * 1.02;
    const longer = lines.filter((item) => item.trace.Time_s.at(-1) > last).length;
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
    for (const tick of LeanSeg.ticks(0, last, LeanSeg.narrow ? 4 : 8))
      picture.append(
        svg("text", { x: x(tick), y: tall - 20, "text-anchor": "middle", class: "tick", text: String(tick) }),
      );
    picture.append(
      svg("text", {
        x: (wide + left) / 2,
        y: tall - 2,
        "text-anchor": "middle",
        class: "tick",
        text: longer ? `time (s); ${longer} went on beyond this` : "time (s)",
      }),
    );
    for (const item of lines) {
      const points = item.trace.Time_s.map((time, i) => [time, item.trace[quantity][i]]).filter(
        ([time, value]) => isNumber(value) && time <= last,
      );
      if (!points.length) continue;
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
            `${item.trace.Time_s.at(-1).toFixed(1)} s`,
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
    if (data.ranking) LeanSeg.ranking();
  };
})();
