// One case in a dialog: its volume is loaded, its planes drawn, its organs listed.
(() => {
  const { data, el, byId, isNumber, text, PLANES } = LeanSeg;
  const dialog = byId("case");
  const scored = data.metrics.length > 0;
  const look = {
    prediction: true,
    truth: true,
    errors: true,
    visible: new Set(data.structures.map((structure) => structure.id)),
  };
  const now = { item: null, volume: null, index: [0, 0, 0], canvases: [], sliders: [] };
  const waiting = new Map();
  LeanSeg.look = look;
  LeanSeg.now = now;

  async function unpacked(packed) {
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  LeanSeg.receive = (packed) => {
    const hand = waiting.get(packed.key);
    waiting.delete(packed.key);
    Promise.all([packed.ct, packed.prediction, packed.truth].map(unpacked)).then(([ct, prediction, truth]) =>
      hand({
        size: packed.size,
        spacing_mm: packed.spacing_mm,
        start: packed.start,
        slices: packed.slices,
        lesions: packed.lesions,
        ct,
        prediction,
        truth,
      }),
    );
  };

  LeanSeg.loadScript = (source) =>
    new Promise((done, fail) => {
      const script = el("script", {
        src: source,
        onload: () => {
          script.remove();
          done();
        },
        onerror: () => fail(new Error(`${source} cannot be loaded`)),
      });
      document.head.append(script);
    });

  function loadVolume(key) {
    return new Promise((done, fail) => {
      waiting.set(key, done);
      LeanSeg.loadScript(`cases/${key}.js`).catch(fail);
    });
  }

  // The number that a slice has in the scan: the volume is cropped, and several slices may be averaged to one.
  const sliceNumber = (volume, axis, index) => {
    const { first, shown, step } = volume.slices[axis];
    return first + Math.min(index * step + Math.floor(step / 2), shown - 1) + 1;
  };

  LeanSeg.redraw = () => {
    if (!now.volume) return;
    PLANES.forEach((plane, i) => {
      LeanSeg.drawPlane(now.canvases[i], now.volume, plane, now.index[plane.axis], look);
      now.sliders[i].value = now.index[plane.axis];
      now.sliders[i].nextElementSibling.textContent =
        `${sliceNumber(now.volume, plane.axis, now.index[plane.axis])}/${now.volume.slices[plane.axis].of}`;
    });
    LeanSeg.follow?.();
  };

  LeanSeg.go = (plane, index) => {
    now.index[plane.axis] = Math.max(0, Math.min(now.volume.size[plane.axis] - 1, index));
    LeanSeg.redraw();
  };

  function profile(plane) {
    const counts = LeanSeg.errorProfile(now.volume, plane);
    const most = Math.max(...counts);
    if (!most) return null;
    const steps = [...counts].map((count, i) => `${i} ${(24 - (24 * count) / most).toFixed(1)}`);
    return LeanSeg.svg(
      "svg",
      {
        viewBox: `0 0 ${counts.length - 1 || 1} 24`,
        preserveAspectRatio: "none",
        class: "profile",
        "aria-hidden": "true",
      },
      LeanSeg.svg("path", { d: `M0 24 L${steps.join(" L")} L${counts.length - 1} 24 Z` }),
    );
  }

  function view(plane, i) {
    const size = now.volume.size[plane.axis];
    const canvas = el("canvas", {
      tabindex: 0,
      role: "img",
      "aria-label": `${plane.name} slice with contours; arrow keys scroll`,
      onkeydown: (event) => {
        const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[
          event.key
        ];
        if (step) {
          event.preventDefault();
          LeanSeg.go(plane, now.index[plane.axis] + step);
        }
      },
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        LeanSeg.go(plane, now.index[plane.axis] + (event.deltaY < 0 ? 1 : -1));
      },
      { passive: false },
    );
    now.canvases[i] = canvas;
    now.sliders[i] = el("input", {
      type: "range",
      min: 0,
      max: size - 1,
      step: 1,
      "aria-label": `${plane.name} slice`,
      oninput: (event) => LeanSeg.go(plane, Number(event.target.value)),
    });
    return el(
      "figure",
      { class: `plane ${plane.name.toLowerCase()}` },
      el("figcaption", { text: plane.name }),
      canvas,
      el(
        "div",
        { class: "scroller" },
        el("div", { class: "track" }, profile(plane), now.sliders[i], el("span", { class: "at" })),
      ),
    );
  }

  function toggle(name, key, label) {
    return el(
      "button",
      {
        type: "button",
        "aria-pressed": String(look[key]),
        "data-look": key,
        onclick: (event) => {
          look[key] = !look[key];
          event.currentTarget.setAttribute("aria-pressed", String(look[key]));
          LeanSeg.redraw();
        },
      },
      el("i", { class: `key ${key}` }),
      label || name,
    );
  }

  function organs(item) {
    const rows = data.structures.map((structure, i) => {
      const change = (event) => {
        if (event.target.checked) look.visible.add(structure.id);
        else look.visible.delete(structure.id);
        LeanSeg.redraw();
        LeanSeg.recolour?.();
      };
      const figures = scored
        ? ["DSC", "NSD"].map((metric) => el("td", { class: "number", text: text(item.values[metric][i]) }))
        : [LeanSeg.volumeCell(item, i)];
      return el(
        "tr",
        {},
        el(
          "th",
          { scope: "row" },
          el(
            "label",
            {},
            el("input", { type: "checkbox", checked: look.visible.has(structure.id), onchange: change }),
            el("i", { class: "swatch", style: `background:${structure.colour}` }),
            el("span", {}, structure.name, LeanSeg.remark(item, structure)),
          ),
        ),
        ...figures,
      );
    });
    return el(
      "table",
      { class: "organs" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col", text: "Organ" }),
          ...(scored ? ["DSC", "NSD"] : ["mL"]).map((name) =>
            el("th", { scope: "col", class: "number", text: name }),
          ),
        ),
      ),
      el("tbody", {}, ...rows),
    );
  }

  // Each lesion is a way to the slices through its centre.
  function lesionList(volume) {
    const { lesions } = volume;
    const counts = {};
    const numbered = lesions.map((lesion) => {
      counts[lesion.structure] = (counts[lesion.structure] || 0) + 1;
      const slice = sliceNumber(volume, 2, Math.round(lesion.at[2]));
      return { lesion, name: `${lesion.structure} ${counts[lesion.structure]}, ${lesion.kind}, slice\u00a0${slice}` };
    });
    const rows = numbered.map(({ lesion, name }) =>
      el(
        "tr",
        {},
        el(
          "th",
          { scope: "row" },
          el("button", {
            type: "button",
            class: "link",
            text: name,
            onclick: () => {
              for (const plane of PLANES) LeanSeg.go(plane, Math.round(lesion.at[plane.axis]));
            },
          }),
        ),
        el("td", { class: "number", text: `${text(lesion.ml, 1)} mL` }),
        el("td", { class: "number", text: lesion.kind === "found" ? text(lesion.iou, 2) : "" }),
      ),
    );
    const heads = ["Lesion", "Volume", "IoU"].map((name, i) =>
      el("th", { scope: "col", class: i ? "number" : null, text: name }),
    );
    return el(
      "table",
      { class: "organs lesions" },
      el("thead", {}, el("tr", {}, ...heads)),
      el("tbody", {}, ...rows),
    );
  }

  // What is drawn into the pictures and on the sliders that no button names.
  function legend(volume) {
    const entry = (kind, words) => el("span", {}, el("i", { class: kind }), words);
    const kinds = new Set(volume.lesions.map((lesion) => lesion.kind));
    const rings = ["found", "missed", "false"].filter((kind) => kinds.has(kind));
    const wrong = volume.prediction && volume.truth;
    const { first, shown, of } = volume.slices[2];
    const entries = [
      shown < of && el("span", { text: `slices ${first + 1} to ${first + shown} of ${of} shown, around the labels` }),
      ...rings.map((kind) => entry(`ring ${kind}`, `${kind} lesion`)),
      wrong && entry("hill", "above a slider: wrong voxels in each slice"),
    ].filter(Boolean);
    return entries.length ? el("p", { class: "legend" }, ...entries) : "";
  }

  function neighbour(item, step) {
    const list = LeanSeg.shown.includes(item) ? LeanSeg.shown : data.cases;
    return list[(list.indexOf(item) + step + list.length) % list.length];
  }

  function frame(item) {
    const facts = [
      ...(scored
        ? [`organ DSC ${text(item.organ_DSC)}`, `organ NSD ${text(item.organ_NSD)}`]
        : [item.found]),
      isNumber(item.lesion_DSC) && `lesion DSC ${text(item.lesion_DSC)}`,
      item.efficiency && isNumber(item.efficiency.Time) && `${text(item.efficiency.Time, 1)} s`,
    ]
      .filter(Boolean)
      .join("  ·  ");
    const step = (name, by, hint) =>
      el("button", {
        type: "button",
        class: "quiet",
        text: name,
        title: hint,
        "aria-label": hint,
        onclick: () => LeanSeg.openCase(neighbour(item, by)),
      });
    return [
      el(
        "header",
        {},
        el(
          "div",
          {},
          el("h2", { id: "case-title", text: item.stem }),
          el("p", { class: "facts" }, facts, item.log ? el("a", { href: item.log, text: "   log" }) : null),
          el("p", { class: "facts", text: LeanSeg.DISCLAIMER }),
        ),
        el("div", { class: "looks", role: "group", "aria-label": "What is shown", id: "looks" }),
        el(
          "div",
          { class: "steps" },
          ...(data.cases.length > 1
            ? [step("‹", -1, "Previous case (key p)"), step("›", 1, "Next case (key n)")]
            : []),
          el("button", {
            type: "button",
            class: "quiet",
            id: "close",
            text: "Close",
            onclick: () => dialog.close(),
          }),
        ),
      ),
      LeanSeg.remarks(item),
      el(
        "div",
        { class: "body" },
        el("div", { id: "views", class: "views" }, el("p", { class: "note", text: "Loading …" })),
        el("aside", {}, organs(item), item.cut?.length ? el("p", { class: "legend", text: LeanSeg.CUT }) : null),
      ),
    ];
  }

  LeanSeg.openCase = async (item) => {
    LeanSeg.untip();
    LeanSeg.closeVolume?.();
    Object.assign(now, { item, volume: null, canvases: [], sliders: [] });
    delete dialog.dataset.ready;
    dialog.replaceChildren(...frame(item).filter(Boolean));
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", `#case=${encodeURIComponent(item.stem)}`);
    const views = byId("views");
    if (item.volume === null) {
      views.replaceChildren(
        el("p", { class: "note", text: item.volume_error || "No images were given for this case." }),
      );
      return;
    }
    try {
      const volume = await loadVolume(item.volume);
      if (now.item !== item) return;
      Object.assign(now, { volume, index: [...volume.start] });
    } catch (error) {
      views.replaceChildren(
        el("p", {
          class: "note",
          text: `The images of this case are not beside the page (${error.message}).`,
        }),
      );
      return;
    }
    views.replaceChildren(...PLANES.map(view), legend(now.volume));
    if (now.volume.lesions.length) dialog.querySelector("aside").append(lesionList(now.volume));
    byId("looks").append(
      ...[
        now.volume.prediction && toggle(scored ? "Prediction" : "Labels", "prediction"),
        now.volume.truth && toggle("Truth", "truth"),
        now.volume.prediction && now.volume.truth && toggle("Errors", "errors", "Missed / extra"),
        LeanSeg.volumeButton(),
      ].filter(Boolean),
    );
    sizes.disconnect();
    now.canvases.forEach((canvas) => sizes.observe(canvas));
    LeanSeg.redraw();
    dialog.dataset.ready = item.stem;
  };

  dialog.addEventListener("close", () => {
    LeanSeg.closeVolume?.();
    delete dialog.dataset.ready;
    history.replaceState(null, "", location.pathname);
  });
  // Not on the dialog: what had the focus goes with the case before, and keys then go to the page.
  addEventListener("keydown", (event) => {
    const by = { n: 1, p: -1 }[event.key];
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (dialog.open && by && plain) LeanSeg.openCase(neighbour(now.item, by));
  });

  // A case has an address, index.html#case=NAME, to be sent to somebody.
  LeanSeg.openAddressed = () => {
    const stem = new URLSearchParams(location.hash.slice(1)).get("case");
    const item = data.cases.find((each) => each.stem === stem);
    if (item) LeanSeg.openCase(item);
  };
  LeanSeg.openFirst = () => {
    if (LeanSeg.only && LeanSeg.only.volume !== null && !location.hash) LeanSeg.openCase(LeanSeg.only);
    else LeanSeg.openAddressed();
  };
  addEventListener("hashchange", () => LeanSeg.openAddressed());
  const sizes = new ResizeObserver(() => LeanSeg.redraw());
})();
