// The 3D view of a case with NiiVue, loaded when first asked for. The volume is handed over as a NIfTI file
// made here.
(() => {
  const { data, el, byId, now, look } = LeanSeg;
  let viewer = null;

  // A NIfTI-1 file of bytes. Ours are x to the left, y to the back; NIfTI's world is x to the right, y to the
  // front.
  function nifti(voxels, size, spacing) {
    const buffer = new ArrayBuffer(352 + voxels.length);
    const head = new DataView(buffer);
    head.setInt32(0, 348, true);
    [3, ...size, 1, 1, 1, 1].forEach((value, i) => head.setInt16(40 + 2 * i, value, true));
    head.setInt16(70, 2, true);
    head.setInt16(72, 8, true);
    [1, ...spacing, 1, 1, 1, 1].forEach((value, i) => head.setFloat32(76 + 4 * i, value, true));
    head.setFloat32(108, 352, true);
    head.setFloat32(112, 1, true);
    head.setUint8(123, 2);
    head.setInt16(254, 1, true);
    const signs = [-1, -1, 1];
    signs.forEach((sign, axis) => {
      head.setFloat32(280 + 16 * axis + 4 * axis, sign * spacing[axis], true);
      head.setFloat32(280 + 16 * axis + 12, (-sign * spacing[axis] * (size[axis] - 1)) / 2, true);
    });
    [0x6e, 0x2b, 0x31, 0].forEach((value, i) => head.setUint8(344 + i, value));
    new Uint8Array(buffer, 352).set(voxels);
    return buffer;
  }

  function colours(source) {
    const rows = [{ id: 0, name: "", colour: "#000000" }, ...data.structures].sort((a, b) => a.id - b.id);
    const part = (row, i) => parseInt(row.colour.slice(1 + 2 * i, 3 + 2 * i), 16);
    return {
      R: rows.map((row) => part(row, 0)),
      G: rows.map((row) => part(row, 1)),
      B: rows.map((row) => part(row, 2)),
      A: rows.map((row) => (row.id && look[source] && look.visible.has(row.id) ? 255 : 0)),
      I: rows.map((row) => row.id),
      labels: rows.map((row) => row.name),
    };
  }

  async function image(niivue, voxels, name) {
    const { size, spacing_mm: spacing } = now.volume;
    return niivue.NVImage.loadFromFile({
      file: new File([nifti(voxels, size, spacing)], `${name}.nii`),
      name: `${name}.nii`,
      colormap: "gray",
      opacity: 1,
    });
  }

  async function start(canvas) {
    if (!window.niivue) await LeanSeg.loadScript("viewer/niivue.js");
    const library = window.niivue;
    const nv = new library.Niivue({
      backColor: [0, 0, 0, 1],
      show3Dcrosshair: true,
      crosshairWidth: 0.6,
      crosshairColor: [1, 0.82, 0.4, 1],
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      dragAndDropEnabled: false,
      loadingText: "",
      logLevel: "error",
      isOrientationTextVisible: true,
    });
    await nv.attachToCanvas(canvas);
    const source = now.volume.prediction ? "prediction" : "truth";
    nv.addVolume(await image(library, now.volume.ct, "ct"));
    if (now.volume[source]) {
      const labels = await image(library, now.volume[source], source);
      labels.setColormapLabel(colours(source));
      nv.addVolume(labels);
      nv.setOpacity(1, 0.85);
    }
    nv.setSliceType(library.SLICE_TYPE.RENDER);
    nv.setRenderAzimuthElevation(160, 12);
    nv.volScaleMultiplier = 1.25;
    nv.setOpacity(0, 0);
    nv.onLocationChange = lead;
    return { nv, source, library };
  }

  LeanSeg.recolour = () => {
    if (!viewer || !viewer.nv.volumes[1]) return;
    viewer.nv.volumes[1].setColormapLabel(colours(viewer.source));
    viewer.nv.updateGLVolume();
  };

  // The crosshair of the 3D view and the slices follow each other; NiiVue's x runs to the right, its y to the
  // front.
  const turned = (share, axis) => (axis < 2 ? 1 - share : share);
  LeanSeg.follow = () => {
    if (!viewer || viewer.leading) return;
    viewer.nv.scene.crosshairPos = now.index.map((index, axis) =>
      turned((index + 0.5) / now.volume.size[axis], axis),
    );
    viewer.nv.drawScene();
  };

  function lead(location) {
    if (!viewer || !location.frac) return;
    viewer.leading = true;
    now.index = now.volume.size.map((size, axis) =>
      Math.max(0, Math.min(size - 1, Math.floor(turned(location.frac[axis], axis) * size))),
    );
    LeanSeg.redraw();
    viewer.leading = false;
  }

  LeanSeg.closeVolume = () => {
    if (!viewer) return;
    viewer.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
    viewer = null;
  };

  function choices(library) {
    const modes = [
      ["3D", library.SLICE_TYPE.RENDER, 0],
      ["3D in the CT", library.SLICE_TYPE.RENDER, 1],
      ["Three planes", library.SLICE_TYPE.MULTIPLANAR, 1],
    ];
    const buttons = modes.map(([name, type, ct], i) =>
      el("button", {
        type: "button",
        text: name,
        "aria-pressed": String(i === 0),
        onclick: (event) => {
          viewer.nv.setSliceType(type);
          viewer.nv.setOpacity(0, ct);
          buttons.forEach((button) =>
            button.setAttribute("aria-pressed", String(button === event.currentTarget)),
          );
        },
      }),
    );
    return el("div", { class: "choice", role: "group", "aria-label": "Kind of view" }, ...buttons);
  }

  async function open() {
    if (byId("solid")) {
      LeanSeg.closeVolume();
      byId("solid").remove();
      byId("views").classList.remove("solid");
      LeanSeg.redraw();
      return false;
    }
    const canvas = el("canvas", {
      tabindex: 0,
      role: "img",
      "aria-label": "3D view; drag turns it, the wheel scrolls",
      width: 640,
      height: 480,
    });
    const note = el("p", { class: "note", text: "Loading the 3D view …" });
    const panel = el("figure", { id: "solid" }, note, canvas);
    const views = byId("views");
    views.insertBefore(panel, views.querySelector(".legend"));
    views.classList.add("solid");
    const item = now.item;
    try {
      const started = await start(canvas);
      if (now.item !== item || !panel.isConnected) return false;
      viewer = started;
      LeanSeg.solid = viewer;
      LeanSeg.follow();
      note.replaceWith(choices(viewer.library));
      panel.dataset.ready = "yes";
    } catch (error) {
      note.textContent = `This browser cannot show the 3D view (${error.message || error}).`;
      canvas.remove();
    }
    return true;
  }

  LeanSeg.volumeButton = () =>
    data.viewer
      ? el("button", {
          type: "button",
          text: "3D",
          id: "open-solid",
          "aria-pressed": "false",
          onclick: async (event) => {
            const button = event.currentTarget;
            button.setAttribute("aria-pressed", String(!byId("solid")));
            button.disabled = true;
            await open();
            button.disabled = false;
          },
        })
      : null;
})();
