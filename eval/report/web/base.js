"use strict";
// What every part of the page uses: the data, elements, numbers, the tooltip.
const LeanSeg = { data: JSON.parse(document.getElementById("data").textContent) };

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "text") node.textContent = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  }

  LeanSeg.el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  LeanSeg.svg = (tag, attributes, ...children) =>
    fill(document.createElementNS(SVG, tag), attributes, children);
  LeanSeg.byId = (id) => document.getElementById(id);

  LeanSeg.isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  LeanSeg.text = (value, digits = 3) => {
    if (value === null || value === undefined) return "–";
    if (value === "inf" || value === Infinity) return "∞";
    return value.toFixed(digits).replace("-", "−");
  };

  // A page without scores that was made of one case is that case.
  const { cases, metrics } = LeanSeg.data;
  LeanSeg.only = !metrics.length && cases.length === 1 ? cases[0] : null;

  // What is there, however little, is not shown as nothing, nor nothing as 0.0.
  // What the scan's edge may cut off has at least the volume that is seen of it.
  LeanSeg.volumeText = (ml, cut = false) => {
    if (ml === null || ml === undefined) return "–";
    if (ml === 0) return "none";
    return ml < 0.05 ? "< 0.1" : `${cut ? "≥ " : ""}${ml.toFixed(1)}`;
  };
  LeanSeg.volumeCell = (item, i) => {
    const cut = item.cut?.includes(LeanSeg.data.structures[i].name);
    return LeanSeg.el("td", {
      class: "number",
      text: LeanSeg.volumeText(item.volumes_ml && item.volumes_ml[i], cut),
      title: cut ? LeanSeg.CUT : null,
    });
  };
  LeanSeg.CUT = "≥: reaches the edge of the scan, which may cut off some of it";
  LeanSeg.counted = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;

  LeanSeg.DISCLAIMER = `${LeanSeg.data.maker ? `Labels by ${LeanSeg.data.maker}. ` : ""}Not for clinical use.`;

  // What is said of a structure of which there is too little to count as found.
  LeanSeg.remark = (item, structure) => {
    const [text, title] = item.crumbs?.includes(structure.name)
      ? ["crumbs", "too little of it to count as found"]
      : item.parts?.includes(structure.name)
        ? ["trace at the edge", "too little of it to count as found; the scan's edge may cut off the rest"]
        : [];
    return text ? LeanSeg.el("span", { class: "tag", text, title }) : null;
  };

  // What is read before the pictures: why the case failed, what was warned of, what to look at.
  LeanSeg.remarks = (item) => {
    const { el } = LeanSeg;
    const doubts = item.doubts || [];
    if (!item.error && !doubts.length) return null;
    return el(
      "div",
      { class: "doubts" },
      item.error ? el("p", { class: "error", text: item.error }) : null,
      ...(doubts.length
        ? [
            el("h3", { text: "Look at this before you trust the result" }),
            el("ul", {}, ...doubts.map((words) => el("li", { class: "error", text: words }))),
          ]
        : []),
    );
  };

  // What the short names in heads mean, of those that do not say it themselves.
  LeanSeg.shortNames = () =>
    LeanSeg.data.structures
      .filter((structure) => !structure.name.toLowerCase().startsWith(structure.short.toLowerCase()))
      .map((structure) => `${structure.short} ${structure.name}`)
      .join(" · ");

  LeanSeg.METRICS = {
    DSC: { name: "DSC", long: "Dice similarity coefficient, 1 is best", digits: 3, best: 1 },
    NSD: {
      name: "NSD",
      long: "normalized surface Dice at each organ's tolerance, 1 is best",
      digits: 3,
      best: 1,
    },
    HD95_mm: {
      name: "HD95",
      long: "95th percentile of surface distances in mm, 0 is best",
      unit: "mm",
      digits: 1,
      best: 0,
    },
    HD_mm: { name: "HD", long: "largest surface distance in mm, 0 is best", unit: "mm", digits: 1, best: 0 },
    ASSD_mm: { name: "ASSD", long: "mean surface distance in mm, 0 is best", unit: "mm", digits: 2, best: 0 },
    clDice: { name: "clDice", long: "overlap of centre lines, 1 is best", digits: 3, best: 1 },
    VolumeDifference_ml: {
      name: "Volume",
      long: "volume of prediction minus truth in mL, 0 is best",
      digits: 1,
      best: 0,
    },
  };

  // Figures are drawn narrower for narrow screens, so that their letters stay legible.
  LeanSeg.narrow = matchMedia("(max-width: 700px)").matches;

  LeanSeg.quantile = (sorted, share) => {
    const place = (sorted.length - 1) * share;
    const [low, high] = [Math.floor, Math.ceil].map((round) => sorted[round(place)]);
    return low === high ? low : low + (high - low) * (place % 1);
  };

  // Round numbers that part an interval into about `count` steps.
  LeanSeg.ticks = (low, high, count = 5) => {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1)
      found.push(Number((i * step).toPrecision(12)));
    return found;
  };

  const tip = LeanSeg.byId("tip");
  LeanSeg.tip = (event, lines) => {
    tip.replaceChildren(...lines.map((line, i) => LeanSeg.el(i ? "span" : "strong", { text: line })));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const at =
      event.clientX === undefined || event.type === "focus" ? event.target.getBoundingClientRect() : null;
    const x = at ? at.right : event.clientX;
    const y = at ? at.top : event.clientY;
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${Math.max(8, y - box.height - 12)}px`;
  };
  LeanSeg.untip = () => {
    tip.hidden = true;
  };
  LeanSeg.tipped = (lines) => ({
    onmousemove: (event) => LeanSeg.tip(event, lines()),
    onmouseleave: LeanSeg.untip,
    onfocus: (event) => LeanSeg.tip(event, lines()),
    onblur: LeanSeg.untip,
  });
})();
