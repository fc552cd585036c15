// The table of cases: sorted, filtered, each row a way into its case.
(() => {
  const { data, el, byId, isNumber, text, counted } = LeanSeg;
  const hasLesion = Boolean(data.lesion);
  const scored = data.metrics.length > 0;
  const has = (column) => data.cases.some((item) => item.efficiency && isNumber(item.efficiency[column]));
  const worst = (item) => {
    let at = -1;
    item.values.DSC.forEach((value, i) => {
      if (isNumber(value) && (at < 0 || value < item.values.DSC[at])) at = i;
    });
    return at;
  };

  // Without scores the volume of each structure takes their place.
  const volumes = data.structures.map((structure, i) => ({
    name: `${structure.short} (mL)`,
    value: (item) => item.volumes_ml && item.volumes_ml[i],
    kind: "volume",
    structure,
    hint: structure.name,
  }));
  const scores = [
    { name: "Organ DSC", value: (item) => item.organ_DSC, digits: 3 },
    { name: "Organ NSD", value: (item) => item.organ_NSD, digits: 3 },
    hasLesion && { name: "Lesion DSC", value: (item) => item.lesion_DSC, digits: 3 },
    {
      name: "DSC of each organ",
      value: (item) => item.values.DSC[worst(item)],
      kind: "strip",
      hint: "sorted by the worst organ",
    },
    has("Time") && { name: "Time (s)", value: (item) => item.efficiency && item.efficiency.Time, digits: 1 },
    has("MaxGPU_Mem") && {
      name: "GPU (MB)",
      value: (item) => item.efficiency && item.efficiency.MaxGPU_Mem,
      digits: 0,
    },
  ].filter(Boolean);
  const COLUMNS = [{ name: "Case", value: (item) => item.stem, kind: "name" }, ...(scored ? scores : volumes)];

  const NUMBERS = [undefined, "volume"];

  // Without scores, cases come as they are: errors, doubts, the others.
  const state = { column: scored ? 1 : null, down: false };
  const rows = new Map();

  // Dark is bad; a scale of lightness that survives colour blindness and grey print.
  LeanSeg.heat = (value) => {
    if (!isNumber(value)) return "transparent";
    const share = Math.max(0, Math.min(1, (value - 0.4) / 0.6));
    return `color-mix(in oklab, var(--heat-good) ${Math.round(share * 100)}%, var(--heat-bad))`;
  };

  function strip(item) {
    const at = worst(item);
    const name = at < 0 ? "not scored" : `worst: ${data.structures[at].name} ${text(item.values.DSC[at])}`;
    return el(
      "span",
      { class: "strip", role: "img", "aria-label": name },
      ...item.values.DSC.map((value, i) =>
        el("i", {
          style: `background:${LeanSeg.heat(value)}`,
          class: isNumber(value) ? null : "none",
          title: `${data.structures[i].name} ${text(value)}`,
        }),
      ),
    );
  }

  function cell(item, column) {
    if (column.kind === "strip")
      return el(
        "td",
        {},
        strip(item),
        el("span", { class: "worst", text: worst(item) < 0 ? "" : data.structures[worst(item)].name }),
      );
    if (column.kind === "volume") {
      const cell = LeanSeg.volumeCell(item, data.structures.indexOf(column.structure));
      cell.prepend(LeanSeg.remark(item, column.structure) || "");
      return cell;
    }
    if (column.kind !== "name")
      return el("td", { class: "number", text: text(column.value(item), column.digits) });
    return el(
      "th",
      { scope: "row" },
      el("button", { type: "button", class: "link", text: item.stem, onclick: () => LeanSeg.openCase(item) }),
    );
  }

  // A case is a row, and below it one as wide as the table where something is to be said of it.
  function rowsOf(item) {
    const row = el("tr", { class: item.error ? "failed" : null }, ...COLUMNS.map((column) => cell(item, column)));
    const said = LeanSeg.remarks(item);
    return said ? [row, el("tr", { class: "said" }, el("td", { colspan: COLUMNS.length }, said))] : [row];
  }

  function compare(a, b) {
    if (state.column === null) return 0;
    const [x, y] = [a, b].map(COLUMNS[state.column].value);
    const missing = (value) => value === null || value === undefined;
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return (state.down ? -order : order) || a.stem.localeCompare(b.stem, "en", { numeric: true });
  }

  function kept(item) {
    const words = byId("search").value.trim().toLowerCase();
    const named = !words || item.stem.toLowerCase().includes(words) || item.error.toLowerCase().includes(words);
    if (!scored) return named;
    const limit = Number(byId("limit").value);
    const organ = byId("organ").value;
    const value =
      organ === "mean"
        ? item.organ_DSC
        : organ === "worst"
          ? item.values.DSC[worst(item)]
          : item.values.DSC[Number(organ)];
    const kind = byId("state").value;
    return (
      named &&
      (kind === "all" || (kind === "error" ? item.error : item.values.DSC.includes(0))) &&
      (limit >= 1 || (isNumber(value) && value <= limit))
    );
  }

  function update() {
    const shown = data.cases.filter(kept).sort(compare);
    LeanSeg.shown = shown;
    byId("table").tBodies[0].replaceChildren(...shown.flatMap((item) => rows.get(item)));
    byId("count").textContent = `${shown.length} of ${counted(data.cases.length, "case")}`;
    byId("limit-value").textContent = Number(byId("limit").value).toFixed(2);
    byId("table")
      .tHead.querySelectorAll("th")
      .forEach((head, i) => {
        head.setAttribute("aria-sort", i !== state.column ? "none" : state.down ? "descending" : "ascending");
      });
  }

  function headings() {
    return el(
      "thead",
      {},
      el(
        "tr",
        {},
        ...COLUMNS.map((column, i) =>
          el(
            "th",
            { scope: "col", class: NUMBERS.includes(column.kind) ? "number" : null, title: column.hint },
            el("button", {
              type: "button",
              text: column.name,
              onclick: () => {
                state.down = state.column === i && !state.down;
                state.column = i;
                update();
              },
            }),
          ),
        ),
      ),
    );
  }

  // The three worst cases of each organ, each a way into its case.
  LeanSeg.worstCases = () => {
    byId("worst-cases").hidden = !scored || data.cases.length === 1;
    if (byId("worst-cases").hidden) return;
    // The table passes them over: by strict rules they are 0 in every structure and would fill it.
    const failed = data.cases.filter((item) => item.error);
    byId("in-error").hidden = !failed.length;
    byId("in-error").append(
      `${counted(failed.length, "case")} in error: `,
      ...failed.flatMap((item) => [
        el("button", { type: "button", class: "link", text: item.stem, onclick: () => LeanSeg.openCase(item) }),
        " ",
      ]),
    );
    const rows = data.structures.map((structure, i) => {
      const scored = data.cases.filter(
        (item) => !item.error && isNumber(item.values.DSC[i]) && item.values.DSC[i] < 1,
      );
      const worst = scored.sort((a, b) => a.values.DSC[i] - b.values.DSC[i]).slice(0, 3);
      const links = worst.flatMap((item) => [
        el("button", {
          type: "button",
          class: "link",
          text: item.stem,
          onclick: () => LeanSeg.openCase(item, structure.name),
        }),
        ` ${text(item.values.DSC[i])}   `,
      ]);
      return el("tr", {}, el("th", { scope: "row", text: structure.name }), el("td", {}, ...links));
    });
    byId("worst").append(
      el("caption", { text: "The worst cases of each organ, without those in error" }),
      el(
        "thead",
        {},
        el("tr", {}, el("th", { scope: "col", text: "Organ" }), el("th", { scope: "col", text: "Worst cases (DSC)" })),
      ),
      el("tbody", {}, ...rows),
    );
  };

  // One case has no columns to compare: its structures stand below each other.
  function onlyCase(item) {
    const section = byId("cases");
    LeanSeg.shown = data.cases;
    section.querySelector("h2").textContent = "What was found";
    section.querySelector(".filters").replaceChildren(
      item.volume === null
        ? ""
        : el("button", { type: "button", text: "Show the slices", onclick: () => LeanSeg.openCase(item) }),
    );
    section.querySelector(".card").before(LeanSeg.remarks(item) || "");
    section.classList.add("only");
    byId("count").textContent = item.found;
    byId("table").append(
      el("caption", { text: "Volume of each structure" }),
      el(
        "thead",
        {},
        el("tr", {}, el("th", { scope: "col", text: "Structure" }), el("th", { scope: "col", class: "number", text: "Volume (mL)" })),
      ),
      el(
        "tbody",
        {},
        ...data.structures.map((structure, i) =>
          el(
            "tr",
            {},
            el(
              "th",
              { scope: "row" },
              el("i", { class: "swatch", style: `background:${structure.colour}` }),
              structure.name,
              LeanSeg.remark(item, structure),
            ),
            LeanSeg.volumeCell(item, i),
          ),
        ),
      ),
    );
  }

  LeanSeg.table = () => {
    if (LeanSeg.only) {
      onlyCase(LeanSeg.only);
      return;
    }
    for (const item of data.cases) rows.set(item, rowsOf(item));
    byId("table").append(
      el("caption", { text: `Cases, ${scored ? "worst" : "errors and doubts"} first. A heading sorts; a name opens the case.` }),
      headings(),
      el("tbody"),
    );
    byId("organ").append(
      el("option", { value: "mean", text: "organ mean" }),
      el("option", { value: "worst", text: "worst organ" }),
      ...data.structures.map((structure, i) => el("option", { value: i, text: structure.name })),
    );
    for (const id of ["state", "organ", "limit"]) byId(id).closest("label").hidden = !scored;
    byId("scale").append(
      ...(scored
        ? [
            el("span", { text: "DSC 0.4" }),
            el("i"),
            el("span", { text: "1" }),
            el("span", { text: `order: ${data.structures.map((s) => s.short).join(" · ")}` }),
          ]
        : []),
      el("span", { text: LeanSeg.shortNames() }),
    );
    for (const id of ["search", "state", "organ", "limit"]) byId(id).addEventListener("input", update);
    update();
  };
})();
