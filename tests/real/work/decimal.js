// Numbers of hundreds of digits: constants, functions, interest to the cent, other bases and all ways to round.
(() => {
  const Wide = Decimal.clone({ precision: 300, defaults: true });
  const Money = Decimal.clone({ precision: 40, rounding: Decimal.ROUND_HALF_EVEN, defaults: true });

  /** 4 (4 atan(1/5) - atan(1/239)), as Machin found. */
  function pi() {
    const inverseAtan = (x) => {
      let power = new Wide(1).div(x);
      let sum = power;
      for (let n = 3; power.abs().gt("1e-310"); n += 2) {
        power = power.div(-x * x);
        sum = sum.plus(power.div(n));
      }
      return sum;
    };
    return inverseAtan(5).times(4).minus(inverseAtan(239)).times(4);
  }

  let fibonacci = [new Wide(0), new Wide(1)];
  for (let i = 0; i < 1000; i++) fibonacci = [fibonacci[1], fibonacci[0].plus(fibonacci[1])];

  const plan = [];
  let debt = new Money("250000.00");
  const rate = new Money("0.0375").div(12);
  const payment = debt
    .times(rate)
    .div(new Money(1).minus(rate.plus(1).pow(-360)))
    .toDecimalPlaces(2);
  while (debt.gt(0)) {
    const interest = debt.times(rate).toDecimalPlaces(2);
    const paid = Money.min(payment, debt.plus(interest));
    debt = debt.plus(interest).minus(paid);
    plan.push([interest.toFixed(2), debt.toFixed(2)]);
  }

  const numbers = ["0.5", "-1.5", "2.5", "1e-30", "123456.789", "-0", "Infinity", "9.99999999999999999995"].map(
    (text) => new Decimal(text),
  );
  return {
    pi: pi().toFixed(280),
    constants: [
      Wide.acos(-1),
      Wide.exp(1),
      Wide.ln(2),
      Wide.sqrt(2),
      Wide.cbrt(3),
      Wide.log10(7),
      new Wide(2).pow("0.123456789"),
    ].map(String),
    functions: ["sin", "cos", "tan", "sinh", "tanh", "atan", "ln", "exp", "sqrt"].map((name) => [
      name,
      ...["0.1", "1", "2.75"].map((x) => String(new Decimal(x)[name]())),
    ]),
    fibonacci: String(fibonacci[0]),
    factorial: String(
      Array.from({ length: 150 }, (_, i) => i + 1).reduce((product, n) => product.times(n), new Wide(1)),
    ),
    plan,
    payment: payment.toNumber(),
    paid: Money.sum(...plan.map(([interest]) => interest)).toString(),
    rounded: Array.from({ length: 9 }, (_, mode) =>
      numbers.map((number) => number.toDecimalPlaces(0, mode).toString()),
    ),
    forms: numbers.map((number) => [
      number.toExponential(5),
      number.toPrecision(4),
      number.toSD(3).toString(),
      number.valueOf(),
      number.toNumber(),
      number.isNeg(),
    ]),
    bases: ["255.5", "-1023.0625", "3735928559"].map((x) => [
      new Decimal(x).toHex(),
      new Decimal(x).toBinary(),
      new Decimal(x).toOctal(),
    ]),
    fractions: ["0.333333333333333", "3.14159265358979", "0.7"].map((x) => new Decimal(x).toFraction(1000).map(String)),
    remainders: [
      ["-7", "3"],
      ["7.5", "-2"],
      ["1e20", "7"],
    ].map(([a, b]) => [0, 1, 3, 6, 9].map((modulo) => String(Decimal.clone({ modulo }).mod(a, b)))),
    compared: numbers.map((a) => numbers.map((b) => a.cmp(b))),
  };
})();
