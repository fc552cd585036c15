// The section of the ranking: who comes where, and how firm that is.
(() => {
  const { data, el, svg, text } = LeanSeg;
  const TONES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98"];
  const tone = (i) => TONES[i % TONES.length];
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

  // A blob's area is the share of the resamples in which a submission takes a place.
  function blobs(submissions) {
    const { wide, left } = size();
    const step = (wide - left - 12) / submissions.length;
    const line = Math.max(26, Math.min(46, step));
    const picture = canvas(wide, line * submissions.length + 30, "Shares of places in resamples");
    submissions.forEach((each, row) => {
      const y = line * (row + 0.5) + 4;
      picture.append(word(left - 12, y + 4, each.name, "end", "label"));
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
    submissions.forEach((_, place) =>
      picture.append(word(left + step * (place + 0.5), line * submissions.length + 22, String(place + 1))),
    );
    return picture;
  }

  // A line a case, from submission to submission: where lines cross, cases disagree.
  function podium(submissions) {
    const { wide } = size();
    const [left, tall, bottom] = [34, 250, 40];
    const most = submissions.length;
    const x = (i) => left + 24 + ((wide - left - 60) * i) / Math.max(1, most - 1);
    const y = (rank) => 12 + ((rank - 1) / Math.max(1, most - 1)) * (tall - bottom - 24);
    const picture = canvas(wide, tall, "Mean rank over the metrics in each case");
    for (let rank = 1; rank <= most; rank += 1)
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
      picture.append(word(x(i), tall - 16 + (i % 2) * 14, each.name));
    });
    return picture;
  }

  // Places under each scheme: a straight line is a place that does not depend on the scheme.
  function schemes(submissions) {
    const { wide, left } = size();
    const names = Object.keys(submissions[0].place_by);
    const line = 30;
    const tall = line * submissions.length + 40;
    const x = (i) => left + 8 + ((wide - left - 44) * i) / (names.length - 1);
    const y = (place) => line * (place - 0.5) + 4;
    const picture = canvas(wide, tall, "Places under each scheme");
    submissions.forEach((each, i) => {
      const places = names.map((name) => each.place_by[name]);
      picture.append(
        svg("polyline", {
          points: places.map((place, at) => `${x(at)},${y(place)}`).join(" "),
          fill: "none",
          stroke: tone(i),
          "stroke-width": 2.4,
        }),
        ...places.map((place, at) =>
          svg("circle", {
            cx: x(at),
            cy: y(place),
            r: 5,
            fill: tone(i),
            ...LeanSeg.tipped(() => [each.name, `place ${place} by ${names[at]}`]),
          }),
        ),
        word(left - 12, y(i + 1) + 4, `${each.place_by[names[0]]}  ${each.name}`, "end", "label"),
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
      const picture = canvas(wide, cell * names.length + 26, `Significance in ${metric}`);
      names.forEach((name, row) => {
        picture.append(
          word(left - 12, cell * (row + 0.5) + 4, name, "end", "label"),
          word(left + cell * (row + 0.5), cell * names.length + 18, name.slice(0, LeanSeg.narrow ? 5 : 9)),
        );
      });
      for (const test of firm.superiorities.filter((each) => each.metric === metric)) {
        const [row, column] = [names.indexOf(test.better), names.indexOf(test.worse)];
        picture.append(
          svg("rect", {
            x: left + cell * column + 1,
            y: cell * row + 1,
            width: cell - 2,
            height: cell - 2,
            rx: 4,
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
          ...["Place", "Submission", "Mean rank", ...metrics.map((m) => m.slice(5).replace("_", " "))].map(
            (name, i) => el("th", { scope: "col", class: i === 1 ? null : "number", text: name }),
          ),
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
