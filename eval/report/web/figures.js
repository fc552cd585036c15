// Headline figures and the box plots.
(() => {
  const { data, el, svg, byId, isNumber, text, METRICS } = LeanSeg;
  const found = (structure, metric) =>
    data.summary.find((row) => row.structure === structure && row.metric === metric);

  function card(name, value, below, tone) {
    return el(
      "div",
      { class: `card fact ${tone || ""}` },
      el("h3", { text: name }),
      el("p", { class: "value", text: value }),
      el("p", { class: "below", text: below }),
    );
  }

  function scoreCard(name, structure, metric) {
    const row = found(structure, metric);
    if (!row || !row.cases) return null;
    const interval = isNumber(row.low)
      ? `95 % CI ${text(row.low, row.metric === "HD95_mm" ? 1 : 3)}–${text(row.high, row.metric === "HD95_mm" ? 1 : 3)}`
      : `${row.cases} case`;
    const digits = METRICS[metric].digits;
    return card(
      name,
      metric === "HD95_mm" ? `${text(row.mean, digits)} mm` : text(row.mean, digits),
      interval,
    );
  }

  function efficiencyCard(column, name, unit, how, factor = 1) {
    const values = data.cases.map((item) => item.efficiency && item.efficiency[column]).filter(isNumber);
    if (!values.length) return null;
    const tolerance = data.tolerances[column];
    const value = how === "max" ? Math.max(...values) : values.reduce((a, b) => a + b, 0) / values.length;
    const over = tolerance === undefined ? 0 : values.filter((v) => v > tolerance).length;
    const below =
      tolerance === undefined
        ? `${how === "max" ? "highest" : "mean"} of ${values.length} cases`
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
    const errors = data.cases.filter((item) => item.error).length;
    const wrong = errors ? `${errors} in error` : "none in error";
    byId("headline").append(
      ...[
        scoreCard("Organ DSC", "organ mean", "DSC"),
        scoreCard("Organ NSD", "organ mean", "NSD"),
        data.lesion && scoreCard("Lesion DSC", data.lesion, "DSC"),
        data.lesion && scoreCard("Lesion NSD", data.lesion, "NSD"),
        scoreCard("Organ HD95", "organ mean", "HD95_mm"),
        card("Cases", String(data.cases.length), wrong, errors ? "bad" : "good"),
        efficiencyCard("Time", "Mean time", "s", "mean"),
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
    return [Math.min(0, ...all), Math.max(1, ...all)];
  }

  function box(structure, points, x, width, y) {
    const sorted = points.map((point) => point.value).sort((a, b) => a - b);
    const [q1, q2, q3] = [0.25, 0.5, 0.75].map((share) => LeanSeg.quantile(sorted, share));
    const reach = 1.5 * (q3 - q1);
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

  function boxes(metric) {
    const [wide, tall, left, right, top, bottom] = [1120, 430, 56, 8, 14, 92];
    const groups = data.structures.map((structure, i) => ({
      structure,
      points: data.cases
        .map((item) => ({ item, value: item.values[metric][i] }))
        .filter((point) => isNumber(point.value)),
    }));
    const all = groups.flatMap((group) => group.points.map((point) => point.value));
    if (!all.length)
      return byId("boxes").replaceChildren(el("p", { class: "note", text: "Nothing was scored." }));
    const [low, high] = range(metric, all);
    const y = (value) => tall - bottom - ((value - low) / (high - low)) * (tall - top - bottom);
    const step = (wide - left - right) / groups.length;
    const picture = svg("svg", {
      viewBox: `0 0 ${wide} ${tall}`,
      role: "group",
      "aria-label": `Box plots of ${METRICS[metric].long}`,
    });
    for (const tick of LeanSeg.ticks(low, high)) {
      picture.append(
        svg("line", { x1: left, x2: wide - right, y1: y(tick), y2: y(tick), class: "grid" }),
        svg("text", {
          x: left - 8,
          y: y(tick) + 4,
          "text-anchor": "end",
          class: "tick",
          text: String(tick).replace("-", "−"),
        }),
      );
    }
    groups.forEach(({ structure, points }, i) => {
      const x = left + step * (i + 0.5);
      const name = `${structure.name}${metric === "NSD" ? ` · ${structure.tolerance_mm} mm` : ""}`;
      if (points.length) picture.append(box(structure, points, x, Math.min(44, step * 0.6), y));
      for (const { item, value } of points) {
        picture.append(
          svg("circle", {
            cx: x + scatterOf(item.name) * Math.min(34, step * 0.45),
            cy: y(value),
            r: 3,
            class: "point",
            ...LeanSeg.tipped(() => [
              item.stem,
              `${structure.name}: ${text(value, METRICS[metric].digits)}`,
              "click to open",
            ]),
            onclick: () => LeanSeg.openCase(item, structure.name),
          }),
        );
      }
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
    const infinite = data.cases.filter((item) => item.values[metric].includes("inf")).length;
    byId("organs-note").textContent =
      `${METRICS[metric].long[0].toUpperCase()}${METRICS[metric].long.slice(1)}. Each dot is a case; click one to see it.` +
      (infinite
        ? ` ${infinite} ${infinite === 1 ? "case has an organ" : "cases have organs"} missed altogether, whose distance is infinite and not drawn.`
        : "");
    return picture;
  }

  LeanSeg.figures = () => {
    headline();
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
