// Put the page together.
(() => {
  const { data, el, byId, counted } = LeanSeg;
  byId("title").textContent = data.title;
  byId("kicker").textContent =
    `LeanSeg report · ${data.labels} · ${counted(data.cases.length, "case")}`;
  LeanSeg.figures();
  LeanSeg.sections();
  LeanSeg.table();
  LeanSeg.worstCases();
  const names = {
    organs: "Organs",
    "worst-cases": "Worst",
    comparison: "Comparison",
    efficiency: "Efficiency",
    ranking: "Ranking",
    cases: "Cases",
  };
  byId("sections").append(
    ...Object.entries(names)
      .filter(([id]) => !byId(id).hidden && !LeanSeg.only)
      .map(([id, name]) => el("a", { href: `#${id}`, text: name })),
  );
  const scored = data.metrics.length > 0;
  byId("foot").textContent =
    (scored ? "Confidence intervals are 95 % bootstrap intervals over six cases or more. " : "") +
    "Organ colours can be told apart with colour blindness. Pictures show the soft-tissue window, 40 ± 200 HU, " +
    `at the reduced size that is embedded; ${scored ? "scores" : "volumes"} were computed at full size. ` +
    (data.cases.some((item) => item.cut?.length) ? `${LeanSeg.CUT}. ` : "") +
    LeanSeg.DISCLAIMER;

  // Where the figures come from: each table, and what is kept of how it was made.
  const machine = ({ system, processor, processors, memory_gb: memory }) =>
    [system, processor, processors && counted(processors, "processor"), memory && `${memory} GB of memory`]
      .filter(Boolean)
      .join(", ");
  const inWords = (value) => {
    if (Array.isArray(value)) return value.join(", ");
    if (typeof value !== "object") return String(value);
    return Object.entries(value)
      .map(([key, part]) => `${key} ${inWords(part)}`)
      .join(", ");
  };
  const facts = (origin) =>
    Object.entries(origin || {})
      .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && !value.length))
      .map(([name, value]) => {
        const words = name === "machine" ? machine(value) : inWords(value);
        return el("div", {}, el("dt", { text: name.replaceAll("_", " ") }), el("dd", { text: words }));
      });
  byId("sources").hidden = !data.sources.length;
  byId("sources").append(
    el("h2", { text: "Where these figures come from" }),
    ...data.sources.map((source) =>
      el(
        "div",
        { class: "source" },
        el("h3", {}, el("a", { href: source.file, text: source.what })),
        source.origin
          ? el("dl", {}, ...facts(source.origin))
          : el("p", { text: "nothing beside the table says how it was made" }),
      ),
    ),
  );

  LeanSeg.openFirst();
  const theme = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    theme.setAttribute("aria-pressed", String(dark));
    theme.textContent = dark ? "Light" : "Dark";
  };
  theme.addEventListener("click", () => set(document.documentElement.dataset.theme !== "dark"));
  system.addEventListener("change", () => set(system.matches));
  set(system.matches);
  document.documentElement.dataset.ready = "yes";
})();
