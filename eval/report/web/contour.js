// Outlines of a mask as smooth closed paths: marching squares on a slightly blurred mask.
(() => {
  // Weights 1, 6, 1 keep a line that is one voxel wide, and a single voxel, above the level of one half.
  function blurred(mask, width, height) {
    const rows = new Float32Array(mask.length);
    const both = new Float32Array(mask.length);
    for (let i = 0; i < mask.length; i += 1) {
      const x = i % width;
      rows[i] = (6 * mask[i] + (x ? mask[i - 1] : 0) + (x < width - 1 ? mask[i + 1] : 0)) / 8;
    }
    for (let i = 0; i < mask.length; i += 1) {
      both[i] =
        (6 * rows[i] + (i >= width ? rows[i - width] : 0) + (i < mask.length - width ? rows[i + width] : 0)) /
        8;
    }
    return both;
  }

  // Segments of a cell by which of its corners (top left 1, top right 2, bottom right 4, bottom left 8) are
  // inside, each
  // from edge to edge (0 top, 1 right, 2 bottom, 3 left) so that the inside lies on one and the same side.
  const SEGMENTS = [
    [],
    [[3, 0]],
    [[0, 1]],
    [[3, 1]],
    [[1, 2]],
    [
      [3, 0],
      [1, 2],
    ],
    [[0, 2]],
    [[3, 2]],
    [[2, 3]],
    [[2, 0]],
    [
      [0, 1],
      [2, 3],
    ],
    [[2, 1]],
    [[1, 3]],
    [[1, 0]],
    [[0, 3]],
    [],
  ];

  function place(field, width, x, y, edge) {
    const at = (dx, dy) => field[(y + dy) * width + x + dx];
    const share = (a, b) => (0.5 - a) / (b - a);
    if (edge === 0) return [x + share(at(0, 0), at(1, 0)), y];
    if (edge === 2) return [x + share(at(0, 1), at(1, 1)), y + 1];
    if (edge === 3) return [x, y + share(at(0, 0), at(0, 1))];
    return [x + 1, y + share(at(1, 0), at(1, 1))];
  }

  function segments(field, width, height) {
    const next = new Map();
    const key = (x, y, edge) =>
      edge === 0
        ? 2 * (y * width + x)
        : edge === 2
          ? 2 * ((y + 1) * width + x)
          : edge === 3
            ? 2 * (y * width + x) + 1
            : 2 * (y * width + x + 1) + 1;
    for (let y = 0; y < height - 1; y += 1) {
      for (let x = 0; x < width - 1; x += 1) {
        const i = y * width + x;
        const kind =
          (field[i] > 0.5) +
          2 * (field[i + 1] > 0.5) +
          4 * (field[i + width + 1] > 0.5) +
          8 * (field[i + width] > 0.5);
        for (const [from, to] of SEGMENTS[kind]) {
          next.set(key(x, y, from), { to: key(x, y, to), at: place(field, width, x, y, from) });
        }
      }
    }
    return next;
  }

  // The path of a mask, a list of 0 and 1 in rows; `toCanvas` takes pixel coordinates (centres at whole
  // numbers) to the canvas.
  LeanSeg.contour = (mask, width, height, toCanvas) => {
    // A border of zeros closes outlines at the picture's edge.
    const [wide, tall] = [width + 2, height + 2];
    const padded = new Uint8Array(wide * tall);
    for (let y = 0; y < height; y += 1)
      padded.set(mask.subarray(y * width, (y + 1) * width), (y + 1) * wide + 1);
    const next = segments(blurred(padded, wide, tall), wide, tall);
    const path = new Path2D();
    while (next.size) {
      let [key, step] = next.entries().next().value;
      let first = true;
      while (step) {
        const [x, y] = toCanvas(step.at[0] - 1, step.at[1] - 1);
        if (first) path.moveTo(x, y);
        else path.lineTo(x, y);
        first = false;
        next.delete(key);
        key = step.to;
        step = next.get(key);
      }
      path.closePath();
    }
    return path;
  };
})();
