// Three planes of a case on canvases: CT, prediction, truth, errors. Voxels are (z, y, x), z to the head, y
// to the back,
// x to the patient's left, so that an axial picture has front on top and right on the left.
(() => {
  const PLANES = [
    { name: "Axial", axis: 2, letters: "RLAP", flipped: false },
    { name: "Coronal", axis: 1, letters: "RLHF", flipped: true },
    { name: "Sagittal", axis: 0, letters: "APHF", flipped: true },
  ];
  LeanSeg.PLANES = PLANES;
  // Colours that no structure has, nor anything near.
  const MISSED = "#69e1f0";
  const EXTRA = "#ff6ad5";

  // Numbers of columns and rows, their sizes in mm, and steps through the voxels.
  LeanSeg.planeShape = (volume, plane) => {
    const [nx, ny, nz] = volume.size;
    const [sx, sy, sz] = volume.spacing_mm;
    if (plane.axis === 2)
      return { columns: nx, rows: ny, width: sx, height: sy, across: 1, down: nx, through: nx * ny };
    if (plane.axis === 1)
      return { columns: nx, rows: nz, width: sx, height: sz, across: 1, down: nx * ny, through: nx };
    return { columns: ny, rows: nz, width: sy, height: sz, across: nx, down: nx * ny, through: 1 };
  };

  LeanSeg.cutPlane = (voxels, volume, plane, index) => {
    const shape = LeanSeg.planeShape(volume, plane);
    const picture = new Uint8Array(shape.columns * shape.rows);
    for (let row = 0; row < shape.rows; row += 1) {
      const from = index * shape.through + (plane.flipped ? shape.rows - 1 - row : row) * shape.down;
      for (let column = 0; column < shape.columns; column += 1)
        picture[row * shape.columns + column] = voxels[from + column * shape.across];
    }
    return picture;
  };

  // How many voxels of each plane are wrong, for the strip under a picture.
  LeanSeg.errorProfile = (volume, plane) => {
    const { prediction, truth, size } = volume;
    const counts = new Float64Array(size[plane.axis]);
    if (!prediction || !truth) return counts;
    const [nx, ny, nz] = size;
    let i = 0;
    for (let z = 0; z < nz; z += 1) {
      for (let y = 0; y < ny; y += 1) {
        for (let x = 0; x < nx; x += 1, i += 1) {
          if (prediction[i] !== truth[i]) counts[plane.axis === 2 ? z : plane.axis === 1 ? y : x] += 1;
        }
      }
    }
    return counts;
  };

  function greyImage(ct, columns, rows) {
    const canvas = new OffscreenCanvas(columns, rows);
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let i = 0; i < ct.length; i += 1) {
      image.data.fill(ct[i], 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  function stripes(context, colour, rising, scale) {
    const size = Math.round(7 * scale);
    const tile = new OffscreenCanvas(size, size);
    const ink = tile.getContext("2d");
    ink.fillStyle = `${colour}55`;
    ink.fillRect(0, 0, size, size);
    ink.strokeStyle = colour;
    ink.lineWidth = 1.7 * scale;
    ink.beginPath();
    for (const shift of [-size, 0, size]) {
      ink.moveTo(shift, rising ? size : 0);
      ink.lineTo(shift + size, rising ? 0 : size);
    }
    ink.stroke();
    return context.createPattern(tile, "repeat");
  }

  function masked(picture, test) {
    const mask = new Uint8Array(picture.length);
    let any = false;
    for (let i = 0; i < picture.length; i += 1)
      if (test(picture[i], i)) {
        mask[i] = 1;
        any = true;
      }
    return any ? mask : null;
  }

  function drawErrors(context, prediction, truth, visible, outline, scale) {
    const wrong = (a, b) => a !== b && visible.has(a);
    const missed = masked(truth, (value, i) => wrong(value, prediction[i]));
    const extra = masked(prediction, (value, i) => wrong(value, truth[i]));
    for (const [mask, colour, rising] of [
      [missed, MISSED, true],
      [extra, EXTRA, false],
    ]) {
      if (!mask) continue;
      context.fillStyle = stripes(context, colour, rising, scale);
      context.fill(outline(mask), "evenodd");
    }
  }

  function letters(context, plane, width, height, scale) {
    context.font = `600 ${13 * scale}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.lineWidth = 3 * scale;
    context.strokeStyle = "#0b0d10";
    context.fillStyle = "#eceff3";
    const inset = 12 * scale;
    const places = [
      [inset, height / 2],
      [width - inset, height / 2],
      [width / 2, inset],
      [width / 2, height - inset],
    ];
    context.textAlign = "center";
    places.forEach(([x, y], i) => {
      context.strokeText(plane.letters[i], x, y);
      context.fillText(plane.letters[i], x, y);
    });
  }

  // A ring around each lesion whose centre is near this slice: whole if found, dashed if missed or false.
  function rings(context, volume, plane, index, toCanvas, scale) {
    const rows = LeanSeg.planeShape(volume, plane).rows;
    const [across, down] = [0, 1, 2].filter((axis) => axis !== plane.axis);
    for (const { kind, ml, at } of volume.lesions) {
      const radius = Math.cbrt((3000 * ml) / (4 * Math.PI));
      if (Math.abs(at[plane.axis] - index) * volume.spacing_mm[plane.axis] > radius + 3) continue;
      const [x, y] = toCanvas(at[across], plane.flipped ? rows - 1 - at[down] : at[down]);
      context.strokeStyle = { found: "#ffffff", missed: MISSED, false: EXTRA }[kind];
      context.setLineDash(kind === "found" ? [] : [4 * scale, 3 * scale]);
      context.lineWidth = 2 * scale;
      context.beginPath();
      context.arc(x, y, 16 * scale, 0, 2 * Math.PI);
      context.stroke();
    }
    context.setLineDash([]);
  }

  // Draw one plane; `look` says what is shown: { prediction, truth, errors, visible (set of ids) }.
  LeanSeg.drawPlane = (canvas, volume, plane, index, look) => {
    const { columns, rows, width, height } = LeanSeg.planeShape(volume, plane);
    const scale = window.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(canvas.clientWidth * scale));
    const tall = Math.max(1, Math.round(canvas.clientHeight * scale));
    if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
    const context = canvas.getContext("2d");
    const unit = Math.min(wide / (columns * width), tall / (rows * height));
    const [w, h] = [columns * width * unit, rows * height * unit];
    const [left, top] = [(wide - w) / 2, (tall - h) / 2];
    context.fillStyle = "#000";
    context.fillRect(0, 0, wide, tall);
    context.imageSmoothingQuality = "high";
    context.drawImage(
      greyImage(LeanSeg.cutPlane(volume.ct, volume, plane, index), columns, rows),
      left,
      top,
      w,
      h,
    );
    const toCanvas = (x, y) => [left + (x + 0.5) * width * unit, top + (y + 0.5) * height * unit];
    const outline = (mask) => LeanSeg.contour(mask, columns, rows, toCanvas);
    const cut = (voxels) => (voxels ? LeanSeg.cutPlane(voxels, volume, plane, index) : null);
    const [prediction, truth] = [cut(volume.prediction), cut(volume.truth)];
    const comparing = look.errors && prediction && truth;
    for (const { id, colour } of LeanSeg.data.structures) {
      const mask =
        look.prediction && prediction && look.visible.has(id)
          ? masked(prediction, (value) => value === id)
          : null;
      if (!mask) continue;
      const path = outline(mask);
      context.fillStyle = `${colour}${comparing ? "26" : "55"}`;
      context.fill(path, "evenodd");
      context.strokeStyle = colour;
      context.lineWidth = 1.8 * scale;
      context.stroke(path);
    }
    if (comparing) drawErrors(context, prediction, truth, look.visible, outline, scale);
    if (look.truth && truth) {
      context.setLineDash([5 * scale, 3.5 * scale]);
      context.strokeStyle = "#ffffff";
      context.lineWidth = 1.3 * scale;
      for (const { id } of LeanSeg.data.structures) {
        const mask = look.visible.has(id) ? masked(truth, (value) => value === id) : null;
        if (mask) context.stroke(outline(mask));
      }
      context.setLineDash([]);
    }
    rings(context, volume, plane, index, toCanvas, scale);
    letters(context, plane, wide, tall, scale);
  };
})();
