// What asks for a zone, a calendar or a language, in all that the engine has of them.
const texts = [];
const keep = text => { texts.push(String(text).length); };

keep(Date());
keep(new Date());
for (const time of [0, -1e12, 1e12, 8.64e15, -8.64e15, NaN, Date.UTC(2024, 1, 29), new Date(2024, 6, 1).getTime()]) {
    const date = new Date(time);
    for (const name of ['toString', 'toDateString', 'toTimeString', 'toUTCString', 'toLocaleString', 'toLocaleDateString',
        'toLocaleTimeString', 'toJSON', 'getTimezoneOffset', 'getHours']) keep(date[name]());
}
for (const text of ['2024-02-29', '2024-02-29T12:34:56', '2024-02-29T12:34:56+05:30', '29 Feb 2024 12:34 PST',
    'Thu Feb 29 2024 12:34:56 GMT+0100 (CET)', 'no date']) keep(Date.parse(text));

const date = new Date(Date.UTC(2024, 6, 1, 12));
const locales = ['en-US', 'en-GB', 'de-DE', 'fr-CA', 'ar-EG', 'fa-IR', 'he-IL', 'hi-IN', 'ja-JP', 'ko-KR', 'ru-RU', 'th-TH', 'tr-TR',
    'zh-Hans-CN', 'zh-Hant-TW', 'sr-Latn', 'sw-KE', 'bn-BD-u-nu-beng', 'ja-JP-u-ca-japanese', 'und'];
const zones = Intl.supportedValuesOf('timeZone');
for (const timeZone of [...zones, '+05:30', 'UTC', 'Etc/GMT+5', 'EST5EDT']) {
    keep(new Intl.DateTimeFormat('en', {timeZone, timeZoneName: 'long', hour: 'numeric'}).format(date));
}
for (const timeZoneName of ['short', 'long', 'shortOffset', 'longOffset', 'shortGeneric', 'longGeneric']) {
    for (const locale of locales) {
        keep(new Intl.DateTimeFormat(locale, {timeZone: 'America/New_York', timeZoneName}).format(date));
    }
}
for (const calendar of Intl.supportedValuesOf('calendar')) {
    for (const locale of ['en', 'ar']) {
        const format = new Intl.DateTimeFormat(locale, {calendar, dateStyle: 'full', timeStyle: 'full'});
        keep(format.format(date));
        keep(format.formatRange(date, new Date(0)));
        keep(JSON.stringify(format.formatToParts(date)));
    }
}
keep(JSON.stringify(new Intl.DateTimeFormat().resolvedOptions()));
keep(new Date().toLocaleString('de-DE', {timeZone: 'Asia/Kolkata', dateStyle: 'full', timeStyle: 'long'}));

for (const numberingSystem of Intl.supportedValuesOf('numberingSystem')) {
    keep(new Intl.NumberFormat('en', {numberingSystem}).format(-1234567.891));
}
for (const currency of Intl.supportedValuesOf('currency')) {
    keep(new Intl.NumberFormat('de', {style: 'currency', currency, currencyDisplay: 'name'}).format(1.5));
}
for (const unit of Intl.supportedValuesOf('unit')) {
    keep(new Intl.NumberFormat('fr', {style: 'unit', unit, unitDisplay: 'long'}).format(2));
}
for (const collation of Intl.supportedValuesOf('collation')) {
    keep(['z', 'ä', 'a', 'Z', '9', '10'].sort(new Intl.Collator('de', {collation, numeric: true}).compare).join());
}
for (const locale of locales) {
    keep(new Intl.NumberFormat(locale, {notation: 'compact', compactDisplay: 'long'}).format(123456789));
    keep((1234.5).toLocaleString(locale) + (12345678901234567890n).toLocaleString(locale));
    keep(['ä', 'z', 'a', 'ü', 'ι', 'Ι'].sort((a, b) => a.localeCompare(b, locale)).join());
    keep('Iıİi ß ǅ Σς'.toLocaleUpperCase(locale) + 'Iıİi ß ǅ ΣΣ'.toLocaleLowerCase(locale));
    keep(new Intl.PluralRules(locale, {type: 'ordinal'}).select(2) + new Intl.PluralRules(locale).select(1.5));
    keep(new Intl.ListFormat(locale, {type: 'disjunction'}).format(['a', 'b', 'c']));
    keep(new Intl.RelativeTimeFormat(locale, {numeric: 'auto'}).format(-1, 'day'));
    keep(new Intl.RelativeTimeFormat(locale).format(3, 'quarter'));
    for (const [type, code] of [['region', 'DE'], ['language', 'fr'], ['script', 'Arab'], ['currency', 'JPY'], ['calendar', 'roc'],
        ['dateTimeField', 'year']]) keep(new Intl.DisplayNames(locale, {type}).of(code));
    for (const granularity of ['grapheme', 'word', 'sentence']) {
        keep([...new Intl.Segmenter(locale, {granularity}).segment('สวัสดีชาวโลก. 日本語の文章。 Two words. 👨‍👩‍👧')].length);
    }
    const about = new Intl.Locale(locale);
    keep(about.maximize() + about.minimize());
    for (const name of ['getCalendars', 'getCollations', 'getHourCycles', 'getNumberingSystems', 'getTextInfo', 'getTimeZones',
        'getWeekInfo']) if (name in about) keep(JSON.stringify(about[name]()));
    if (Intl.DurationFormat) keep(new Intl.DurationFormat(locale, {style: 'long'}).format({hours: 1, minutes: 2}));
}
if (typeof Temporal !== 'undefined') {
    for (const name of Object.getOwnPropertyNames(Temporal.Now)) if (name !== 'timeZoneId') keep(Temporal.Now[name]());
    keep(Temporal.Now.timeZoneId());
    for (const zone of zones) {
        const zoned = Temporal.Instant.fromEpochMilliseconds(date.getTime()).toZonedDateTimeISO(zone);
        keep(`${zoned} ${zoned.offset} ${zoned.hoursInDay} ${zoned.startOfDay()} ${zoned.getTimeZoneTransition('next')}`);
    }
    for (const calendar of Intl.supportedValuesOf('calendar')) {
        try { keep(Temporal.PlainDate.from('2024-02-29').withCalendar(calendar).add({months: 13}).toLocaleString('en', {calendar})); }
        catch (error) { if (!(error instanceof RangeError)) throw error; }
    }
    keep(Temporal.PlainDate.from('2020-01-01').until('2024-02-29', {largestUnit: 'year'}));
}
({count: texts.length, refused: []})
