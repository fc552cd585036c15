// The section of the ranking: who comes where, and how firm that is.
(() => {
  const { data, el, svg, text } = LeanSeg;
  const TONES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98"];
  const tone = (i) => TONES[i % TONES.length];
  const LINE = 26; // Height of a submission's row.
  const size = () => (LeanSeg.narrow ? { wide: 330, left: 96 } : { wide: 540, left: 150 });

  function figure(title, picture) {
    return el("div", { class: "card figure" }, el("h3", { text: title }), picture);
  }

  function canvas(wide, tall, title) {
    return svg("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": title });
  }

  function word(x, y, words, anchor = "middle", kind = "tick") {
    return svg("text", { x, y, "text-anchor": anchor, class: kind, text: words });
  }

  const LETTER = 7.2; // Width of one, in the units of the pictures.
  const LONGEST = 20; // Letters of a name beneath a column.
  const short = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
  const beside = (name) => short(name, Math.floor((size().left - 12) / LETTER));

  // The places that an axis names, with `gap` from one to the next: all, or the first and every fifth, tenth …
  function named(most, gap, least) {
    const step = [1, 5, 10, 50].find((each) => each * gap >= least) ?? 100;
    return Array.from({ length: most }, (_, i) => i + 1).filter((at) => at === 1 || at % step === 0);
  }

  // Names beneath columns: level if there is room for the longest, else upright, and how deep they reach.
  function beneath(names, room) {
    const most = Math.min(LONGEST, Math.max(...names.map((name) => name.length)));
    const level = most * LETTER <= room;
    return {
      deep: level ? 24 : most * LETTER + 12,
      put: (x, y, name) =>
        level
          ? word(x, y + 16, short(name, LONGEST))
          : svg("text", {
              transform: `translate(${x + 4} ${y + 6}) rotate(-90)`,
              "text-anchor": "end",
              class: "tick",
              text: short(name, LONGEST),
            }),
    };
  }

  // A blob's area is the share of the resamples in which a submission takes a place.
  function blobs(submissions) {
    const { wide, left } = size();
    const step = (wide - left - 12) / submissions.length;
    const line = Math.max(26, Math.min(46, step));
    const tall = line * submissions.length;
    const picture = canvas(wide, tall + 30, "Shares of places in resamples");
    for (const place of named(submissions.length, step, 22)) {
      const x = left + step * (place - 0.5);
      picture.append(
        svg("line", { x1: x, x2: x, y1: 4, y2: tall + 4, class: "grid" }),
        word(x, tall + 22, String(place)),
      );
    }
    submissions.forEach((each, row) => {
      const y = line * (row + 0.5) + 4;
      picture.append(word(left - 12, y + 4, beside(each.name), "end", "label"));
      each.place_shares.forEach((share, place) => {
        if (share <= 0) return;
        const blob = svg("circle", {
          cx: left + step * (place + 0.5),
          cy: y,
          r: Math.max(1.5, Math.sqrt(share) * Math.min(line, step) * 0.46),
          fill: tone(row),
          ...LeanSeg.tipped(() => [each.name, `place ${place + 1} in ${(100 * share).toFixed(1)} % of resamples`]),
        });
        picture.append(blob);
      });
    });
    return picture;
  }

  // A line a case, from submission to submission: where lines cross, cases disagree.
  function podium(submissions) {
    const { wide } = size();
    const left = 34;
    const most = submissions.length;
    const across = (wide - left - 60) / Math.max(1, most - 1);
    const down = Math.max(LINE, 190 / most);
    const names = beneath(
      submissions.map((each) => each.name),
      across,
    );
    const x = (i) => left + 24 + across * i;
    const y = (rank) => 12 + (rank - 1) * down;
    const tall = y(most) + 12 + names.deep;
    const picture = canvas(wide, tall, "Mean rank over the metrics in each case");
    for (const rank of named(most, down, 16))
      picture.append(
        svg("line", { x1: left, x2: wide, y1: y(rank), y2: y(rank), class: "grid" }),
        word(left - 8, y(rank) + 4, String(rank), "end"),
      );
    // A case that no submission has is null in all of them.
    (submissions[0] ? submissions[0].case_ranks : []).forEach((rank, at) => {
      if (rank === null) return;
      picture.append(
        svg("polyline", {
          points: submissions.map((each, i) => `${x(i).toFixed(1)},${y(each.case_ranks[at]).toFixed(1)}`).join(" "),
          class: "thread",
        }),
      );
    });
    submissions.forEach((each, i) => {
      for (const rank of each.case_ranks.filter((rank) => rank !== null))
        picture.append(svg("circle", { cx: x(i), cy: y(rank), r: 3.2, fill: tone(i), opacity: 0.7 }));
      picture.append(names.put(x(i), y(most) + 6, each.name));
    });
    return picture;
  }

  // Places under each scheme: a straight line is a place that does not depend on the scheme. Submissions that tie
  // stand below each other, joined by a bar.
  function schemes(submissions) {
    const { wide, left } = size();
    const names = Object.keys(submissions[0].place_by);
    const tall = LINE * submissions.length + 40;
    const x = (i) => left + 8 + ((wide - left - 44) * i) / (names.length - 1);
    const y = (row) => LINE * (row + 0.5) + 4;
    const picture = canvas(wide, tall, "Places under each scheme");
    const rows = names.map((name) => {
      const order = submissions.map((_, i) => i);
      order.sort((a, b) => submissions[a].place_by[name] - submissions[b].place_by[name] || a - b);
      return submissions.map((_, i) => order.indexOf(i));
    });
    names.forEach((name, at) => {
      for (const place of new Set(submissions.map((each) => each.place_by[name]))) {
        const tied = rows[at].filter((_, i) => submissions[i].place_by[name] === place);
        const [first, last] = [y(Math.min(...tied)), y(Math.max(...tied))];
        if (tied.length > 1)
          picture.append(svg("line", { x1: x(at), x2: x(at), y1: first, y2: last, class: "tie" }));
      }
    });
    submissions.forEach((each, i) => {
      picture.append(
        svg("polyline", {
          points: names.map((_, at) => `${x(at)},${y(rows[at][i])}`).join(" "),
          fill: "none",
          stroke: tone(i),
          "stroke-width": 2.4,
        }),
        ...names.map((name, at) =>
          svg("circle", {
            cx: x(at),
            cy: y(rows[at][i]),
            r: 5,
            fill: tone(i),
            ...LeanSeg.tipped(() => [each.name, `place ${each.place_by[name]} by ${name}`]),
          }),
        ),
        word(left - 12, y(rows[0][i]) + 4, beside(`${each.place_by[names[0]]}  ${each.name}`), "end", "label"),
        word(x(names.length - 1) + 12, y(rows.at(-1)[i]) + 4, String(each.place_by[names.at(-1)]), "start"),
      );
    });
    names.forEach((name, i) =>
      picture.append(
        word(x(i), tall - 20, name.split("-then-")[0]),
        word(x(i), tall - 6, `then ${name.split("-then-")[1]}`),
      ),
    );
    return picture;
  }

  // Row against column: a filled cell is a row that is significantly better.
  function significance(firm) {
    const names = firm.submissions.map((each) => each.name);
    const choice = el("div", { class: "choice", role: "group", "aria-label": "Metric of the tests" });
    const place = el("div");
    const draw = (metric) => {
      const { wide, left } = size();
      const cell = Math.min(64, (wide - left - 4) / names.length);
      const high = Math.max(cell, 18);
      const below = beneath(names, cell);
      const picture = canvas(wide, high * names.length + below.deep, `Significance in ${metric}`);
      names.forEach((name, row) => {
        picture.append(
          word(left - 12, high * (row + 0.5) + 4, beside(name), "end", "label"),
          below.put(left + cell * (row + 0.5), high * names.length, name),
        );
      });
      for (const test of firm.superiorities.filter((each) => each.metric === metric)) {
        const [row, column] = [names.indexOf(test.better), names.indexOf(test.worse)];
        picture.append(
          svg("rect", {
            x: left + cell * column + 1,
            y: high * row + 1,
            width: cell - 2,
            height: high - 2,
            rx: Math.min(4, cell / 6),
            class: test.p_holm < 0.05 ? "cell firm" : test.p < 0.05 ? "cell weak" : "cell",
            ...LeanSeg.tipped(() => [
              `${test.better} better than ${test.worse}`,
              `p ${text(test.p, 4)}, after Holm ${text(test.p_holm, 4)}`,
            ]),
          }),
        );
      }
      place.replaceChildren(picture);
      for (const button of choice.children)
        button.setAttribute("aria-pressed", String(button.textContent === metric));
    };
    choice.append(
      ...firm.metrics.map(({ name }) =>
        el("button", { type: "button", text: name, "aria-pressed": "false", onclick: () => draw(name) }),
      ),
    );
    draw(firm.metrics[0].name);
    const card = figure("Row significantly better than column", place);
    card.insertBefore(choice, place);
    card.append(
      el("p", { class: "note", text: "One-sided Wilcoxon signed-rank tests: dark p < 0.05 after Holm, light before." }),
    );
    return card;
  }

  LeanSeg.ranking = () => {
    const number = (value) => (value === "" || value === undefined ? null : Number(value));
    const rows = data.ranking.map((row) => ({
      name: row.Submission,
      low: number(row.Place_low),
      mid: number(row.Place_median),
      high: number(row.Place_high),
      lines: [
        row.Submission,
        `place ${row.Place}`,
        `mean rank ${row.Score}`,
        `95 % of places ${row.Place_low} to ${row.Place_high}`,
        `first in ${(100 * row.First_share).toFixed(0)} % of resamples`,
      ],
    }));
    const metrics = Object.keys(data.ranking[0]).filter((column) => column.startsWith("Rank_"));
    const counted = "Missing" in data.ranking[0] ? ["Missing"] : [];
    const cell = (value, digits) =>
      el("td", { class: "number", text: value === "" ? "–" : Number(value).toFixed(digits) });
    const table = el(
      "table",
      {},
      el("caption", { text: "Ranking" }),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ...[
            ...["Place", "Submission", "Mean rank"],
            ...metrics.map((metric) => metric.slice(5).replace("_", " ")),
            ...counted,
          ].map((name, i) => el("th", { scope: "col", class: i === 1 ? null : "number", text: name })),
        ),
      ),
      el(
        "tbody",
        {},
        ...data.ranking.map((row) =>
          el(
            "tr",
            {},
            cell(row.Place, 0),
            el("th", { scope: "row", text: row.Submission }),
            cell(row.Score, 2),
            ...metrics.map((metric) => cell(row[metric], 2)),
            ...counted.map((column) => cell(row[column], 0)),
          ),
        ),
      ),
    );
    const firm = data.ranking_details;
    const tau = firm && firm.kendall_tau;
    LeanSeg.show(
      "ranking",
      "Ranking",
      `${firm ? `${firm.rules}, ${firm.scheme}` : "Ranked per case and metric, averaged over metrics and cases"}; 1 is best. ` +
        "Dots and bars: median and 95 % of the places in resamples of the cases." +
        (tau ? ` Kendall's τ with the rankings of resamples: median ${tau[0].toFixed(2)}, 95 % ${tau[1].toFixed(2)} to ${tau[2].toFixed(2)}.` : ""),
      el("div", { class: "card scroll spaced" }, table),
      el(
        "div",
        { class: "pair" },
        figure("Place in resamples", LeanSeg.forest(rows, "Places in resamples of the cases", { whole: true })),
        firm && figure("How often on which place", blobs(firm.submissions)),
        firm && figure("Mean rank in each case", podium(firm.submissions)),
        firm && figure("Place under each scheme", schemes(firm.submissions)),
        firm && firm.superiorities.length ? significance(firm) : null,
      ),
    );
  };
})();
