// Parses, formats, adds, compares and counts dates, all in UTC and against a fixed day instead of today.
(() => {
  for (const plugin of [
    "advancedFormat",
    "customParseFormat",
    "duration",
    "isoWeek",
    "minMax",
    "relativeTime",
    "utc",
  ]) {
    dayjs.extend(globalThis[`dayjs_plugin_${plugin}`]);
  }
  const today = dayjs.utc("2024-02-29T12:34:56.789Z");
  const orders = makeOrders(600, 4);
  const days = orders.map((order) => dayjs.utc(order.date));
  const format = "YYYY-MM-DD[T]HH:mm:ss.SSSZ";

  return {
    formats: ["YY-M-D", "dddd, MMMM Do YYYY", "h:mm:ss A", "[week] W [of] GGGG", "Q", "k", "x", "X", format].map(
      (pattern) => today.format(pattern),
    ),
    locales: ["en", "de", "ja"].map((locale) => [
      today.locale(locale).format("dddd, D. MMMM YYYY A"),
      today.locale(locale).from(today.subtract(40, "day")),
      today.locale(locale).startOf("week").format(format),
    ]),
    parsed: [
      ["05/02/69 1:02:03 PM -05:00", "MM/DD/YY H:mm:ss A Z"],
      ["2018 Enero 15", "YYYY MMMM DD"],
      ["1992-12-25 23:59", "YYYY-MM-DD HH:mm"],
      ["31.02.2023", "DD.MM.YYYY"],
    ].map(([text, pattern]) => [dayjs.utc(text, pattern).toJSON(), dayjs.utc(text, pattern, true).isValid()]),
    moved: ["year", "month", "week", "day", "hour", "minute", "millisecond"].map((unit) => [
      unit,
      today.add(13, unit).toISOString(),
      today.subtract(13, unit).toISOString(),
      today.startOf(unit).toISOString(),
      today.endOf(unit).toISOString(),
    ]),
    offsets: [-720, -210, 0, 345, 840].map((minutes) => today.utcOffset(minutes).format(format)),
    durations: [
      dayjs.duration(123456789012).toISOString(),
      dayjs.duration("P1Y2M3DT4H5M6S").format("Y[y] M[m] D[d] H:mm:ss"),
      dayjs.duration({ hours: 50, minutes: 70 }).humanize(),
      dayjs.duration(today.diff("2020-02-29")).asWeeks(),
    ],
    relative: [1, 50, 100, 4e3, 1e5, 3e6, 1e8, 1e9].map((seconds) => [
      today.add(seconds, "second").from(today),
      today.from(today.add(seconds, "second"), true),
    ]),
    byWeek: orders.reduce((counts, order, i) => {
      const week = `${days[i].isoWeekYear()}-W${String(days[i].isoWeek()).padStart(2, "0")}`;
      return counts.set(week, (counts.get(week) ?? 0) + 1);
    }, new Map()),
    differences: days
      .slice(0, 100)
      .map((day) => ["month", "day", "hour"].map((unit) => Math.round(today.diff(day, unit, true) * 1e6) / 1e6)),
    range: [dayjs.min(days).toDate(), dayjs.max(days).toDate()],
    months: Array.from({ length: 48 }, (_, month) => dayjs.utc("2021-01-31").add(month, "month").daysInMonth()),
    invalid: [dayjs.utc("nonsense").isValid(), dayjs.utc(NaN).format(), dayjs.utc(null).toJSON()],
  };
})();
