// Headline figures and the box plots.
(() => {
  const { data, el, svg, byId, isNumber, text, counted, METRICS } = LeanSeg;
  const found = (structure, metric) =>
    data.summary.find((row) => row.structure === structure && row.metric === metric);

  // `below` is a line, or parts of one, of which { bad: words } stand out among good news.
  function card(name, value, below, tone) {
    const parts = [below].flat().flatMap((part, i) => (i ? [" · ", part] : [part]));
    return el(
      "div",
      { class: `card fact ${tone || ""}` },
      el("h3", { text: name }),
      el("p", { class: "value", text: value }),
      el("p", { class: "below" }, parts.map((part) => (part.bad ? bad(part.bad) : part))),
    );
  }

  const bad = (words) => el("span", { class: "worse", style: "color: var(--bad); font-weight: 600", text: words });

  // What became of infinite distances must stand beside every mean of them.
  function infinite(row) {
    if (!row.infinite) return "";
    return row.left_out
      ? `${row.left_out} infinite left out`
      : `${row.infinite} infinite, counted as the image's diagonal`;
  }

  function scoreCard(name, structure, metric) {
    const row = found(structure, metric);
    if (!row || !row.cases) return null;
    const { digits, unit } = METRICS[metric];
    const interval = isNumber(row.low)
      ? `95 % CI ${text(row.low, digits)}–${text(row.high, digits)}`
      : counted(row.cases, "case");
    return card(
      name,
      text(row.mean, digits) + (unit ? ` ${unit}` : ""),
      [interval, infinite(row)].filter(Boolean).join(" · "),
      row.left_out ? "bad" : "",
    );
  }

  // A lesion in neither map scores 1: cases with a lesion and cases without one say different things.
  function lesionCard(metric) {
    const [all, present, absent] = [data.lesion, ...data.lesion_rows].map((name) => found(name, metric));
    if (!all || !all.cases) return null;
    if (!present) return card(`Lesion ${metric}`, text(all.mean), "all cases, with a lesion or without", "bad");
    const without = absent.cases ? `${text(absent.mean)} in ${absent.cases} without` : "none without";
    return card(
      `Lesion ${metric}`,
      text(present.mean),
      `${counted(present.cases, "case")} with a lesion · ${without}`,
    );
  }

  function timeCard() {
    const timed = data.cases.filter((item) => item.efficiency && isNumber(item.efficiency.Time));
    const well = timed.filter((item) => !item.efficiency.ending);
    const failed = timed.length - well.length;
    if (!timed.length) return null;
    const shown = well.length ? well : timed;
    const tolerance = data.tolerances.Time;
    const over = shown.filter((item) => item.efficiency.Time > tolerance).length;
    const mean = shown.reduce((sum, item) => sum + item.efficiency.Time, 0) / shown.length;
    const below = [
      well.length ? `${counted(well.length, "case")} that ended well` : "no case ended well",
      failed && well.length && { bad: `${failed} failed, not in it` },
      tolerance !== undefined && (over ? { bad: `${over} above ${tolerance} s` } : `none above ${tolerance} s`),
    ];
    return card("Mean time", `${mean.toFixed(1)} s`, below.filter(Boolean), well.length ? "" : "bad");
  }

  function efficiencyCard(column, name, unit, how, factor = 1) {
    const timed = data.cases.filter((item) => item.efficiency && isNumber(item.efficiency[column]));
    const well = timed.filter((item) => !item.efficiency.ending);
    // Means are over the cases that ended well; penalties of the others would say nothing of memory.
    const values = (how === "mean" && well.length ? well : timed).map((item) => item.efficiency[column]);
    if (!values.length) return null;
    const tolerance = data.tolerances[column];
    const value = how === "max" ? Math.max(...values) : values.reduce((a, b) => a + b, 0) / values.length;
    const over = tolerance === undefined ? 0 : values.filter((v) => v > tolerance).length;
    const below =
      tolerance === undefined
        ? `${how === "max" ? "highest" : "mean"} of ${counted(values.length, "case")}${values.length < timed.length ? " that ended well" : ""}`
        : `${over ? `${over} of ${values.length} cases above` : "all cases within"} ${tolerance} ${unit}`;
    const scaled = value / factor;
    return card(
      name,
      `${scaled.toFixed(scaled < 100 ? 1 : 0)} ${unit}`,
      below,
      over ? "bad" : tolerance === undefined ? "" : "good",
    );
  }

  function headline() {
    byId("headline").hidden = Boolean(LeanSeg.only);
    const errors = data.cases.filter((item) => item.error).length;
    const doubtful = data.cases.filter((item) => item.doubts?.length).length;
    const wrong = [
      errors ? { bad: `${errors} in error` } : "none in error",
      doubtful && { bad: `${doubtful} to look at` },
    ];
    byId("headline").append(
      ...[
        scoreCard("Organ DSC", "organ mean", "DSC"),
        scoreCard("Organ NSD", "organ mean", "NSD"),
        data.lesion && lesionCard("DSC"),
        data.lesion && lesionCard("NSD"),
        scoreCard("Organ HD95", "organ mean", "HD95_mm"),
        card(
          "Cases",
          String(data.cases.length),
          wrong.filter(Boolean),
          errors || doubtful ? "" : "good",
        ),
        timeCard(),
        efficiencyCard("MaxGPU_Mem", "Peak GPU memory", "MB", "max"),
        efficiencyCard("AUC_GPU_Time", "GPU memory × time", "GB·s", "mean", 1000),
        efficiencyCard("OwnRAM_Max_MB", "Peak container RAM", "MB", "max") ||
          efficiencyCard("MaxRAM", "Peak host RAM", "MB", "max"),
      ].filter(Boolean),
    );
  }

  function scatterOf(name) {
    let hash = 7;
    for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) % 9973;
    return hash / 9973 - 0.5;
  }

  function range(metric, all) {
    if (METRICS[metric].best === 1) return [Math.min(0.9, Math.floor(Math.min(...all) * 10) / 10), 1];
    return [Math.min(0, ...all), Math.max(1, ...all)]; // also where all are infinite and none is given
  }

  function box(structure, points, x, width, y) {
    const sorted = points.map((point) => point.value).sort((a, b) => a - b);
    const [q1, q2, q3] = [0.25, 0.5, 0.75].map((share) => LeanSeg.quantile(sorted, share));
    const reach = q3 === q1 ? 0 : 1.5 * (q3 - q1);
    const low = sorted.find((v) => v >= q1 - reach);
    const high = sorted.findLast((v) => v <= q3 + reach);
    const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
    return svg(
      "g",
      {
        class: "box",
        tabindex: 0,
        role: "img",
        "aria-label": `${structure.name}: median ${text(q2)}, quartiles ${text(q1)} and ${text(q3)}, ${sorted.length} cases`,
        ...LeanSeg.tipped(() => [
          structure.name,
          `median ${text(q2)}`,
          `quartiles ${text(q1)} – ${text(q3)}`,
          `${sorted.length} cases`,
        ]),
      },
      line(x, y(low), x, y(q1), "whisker"),
      line(x, y(q3), x, y(high), "whisker"),
      line(x - width / 4, y(low), x + width / 4, y(low), "whisker"),
      line(x - width / 4, y(high), x + width / 4, y(high), "whisker"),
      svg("rect", {
        x: x - width / 2,
        y: y(q3),
        width,
        height: Math.max(1, y(q1) - y(q3)),
        rx: 3,
        fill: structure.colour,
        class: "quartiles",
      }),
      line(x - width / 2, y(q2), x + width / 2, y(q2), "median"),
    );
  }

  const ALONE = "opacity: 1; stroke: var(--ink); stroke-width: 1.1";
  const neither = (item, i) => item.held[i] === false && item.values.DSC[i] === 1;

  function boxes(metric) {
    const [wide, tall, left, right, top, bottom] = [1120, 430, 56, 8, 14, 92];
    const groups = data.structures.map((structure, i) => ({
      structure,
      points: data.cases
        .map((item) => ({ item, value: item.values[metric][i] }))
        .map((point) => (point.value === "inf" ? { ...point, value: Infinity } : point))
        .filter((point) => point.value === Infinity || isNumber(point.value)),
    }));
    const all = groups.flatMap((group) => group.points.map((point) => point.value));
    if (!all.length)
      return byId("boxes").replaceChildren(el("p", { class: "note", text: "Nothing was scored." }));
    // What has no finite distance lies on a line of its own above the scale, and counts as the largest.
    const infinite = all.includes(Infinity);
    const [low, high] = range(metric, all.filter(isNumber));
    const ceiling = infinite ? top + 34 : top;
    const y = (value) =>
      value === Infinity ? top + 12 : tall - bottom - ((value - low) / (high - low)) * (tall - ceiling - bottom);
    const step = (wide - left - right) / groups.length;
    const picture = svg("svg", {
      viewBox: `0 0 ${wide} ${tall}`,
      role: "group",
      "aria-label": `Box plots of ${METRICS[metric].long}`,
    });
    for (const tick of [...LeanSeg.ticks(low, high), ...(infinite ? [Infinity] : [])]) {
      picture.append(
        svg("line", { x1: left, x2: wide - right, y1: y(tick), y2: y(tick), class: "grid" }),
        svg("text", {
          x: left - 8,
          y: y(tick) + 4,
          "text-anchor": "end",
          class: "tick",
          text: tick === Infinity ? "∞" : String(tick).replace("-", "−"),
        }),
      );
    }
    groups.forEach(({ structure, points }, i) => {
      const x = left + step * (i + 0.5);
      const name = `${structure.name}${metric === "NSD" ? ` · ${structure.tolerance_mm} mm` : ""}`;
      // Of one case a box is a line, which hides the case's dot.
      if (points.length > 1) picture.append(box(structure, points, x, Math.min(44, step * 0.6), y));
      for (const { item, value } of points) {
        picture.append(
          svg("circle", {
            cx: points.length > 1 ? x + scatterOf(item.name) * Math.min(34, step * 0.45) : x,
            cy: y(value),
            r: points.length > 1 ? 3 : 5,
            style: points.length > 1 || neither(item, i) || value === Infinity ? null : `fill: ${structure.colour}; ${ALONE}`,
            class: `point${neither(item, i) ? " neither" : value === Infinity ? " missed" : ""}`,
            ...LeanSeg.tipped(() => [
              item.stem,
              `${structure.name}: ${text(value, METRICS[metric].digits)}`,
              neither(item, i) ? "in neither map" : "click to open",
            ]),
            onclick: () => LeanSeg.openCase(item, structure.name),
          }),
        );
      }
      const apart = points.filter((point) => point.value === Infinity).length;
      if (apart)
        picture.append(
          svg("text", { x, y: top + 2, "text-anchor": "middle", class: "tick", text: `${apart} of ${points.length}` }),
        );
      picture.append(
        svg("text", {
          transform: `translate(${x + 6} ${tall - bottom + 18}) rotate(-32)`,
          "text-anchor": "end",
          class: "label",
          text: name,
        }),
      );
    });
    byId("boxes").replaceChildren(picture);
    const hollow = data.cases.some((item) => item.held.some((_, i) => neither(item, i)));
    byId("organs-note").textContent =
      `${METRICS[metric].long[0].toUpperCase()}${METRICS[metric].long.slice(1)}. Each dot is a case; click one to see it.` +
      (hollow ? " A hollow dot is a case in which neither map has the structure." : "") +
      (infinite
        ? " On the line ∞ lie cases in which only one of the maps has the structure; boxes count them as the largest."
        : "");
    return picture;
  }

  LeanSeg.figures = () => {
    headline();
    byId("organs").hidden = !data.metrics.length;
    if (!data.metrics.length) return;
    const buttons = data.metrics.map((metric) =>
      el("button", {
        type: "button",
        text: METRICS[metric].name,
        "aria-pressed": "false",
        "data-metric": metric,
        onclick: () => choose(metric),
      }),
    );
    byId("metrics").append(...buttons);
    function choose(metric) {
      buttons.forEach((button) =>
        button.setAttribute("aria-pressed", String(button.dataset.metric === metric)),
      );
      boxes(metric);
    }
    choose(data.metrics[0]);
  };
})();
