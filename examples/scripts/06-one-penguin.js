// expect: OK {"studyName":"PAL0910","Sample Number":67,"Species":"Chinstrap penguin (Pygoscelis antarctica)","Region":"Anvers","Island":"Dream","Stage":"Adult, 1 Egg Stage","Individual ID":"N100A1","Clutch Completion":"Yes","Date Egg":"2009-11-21","Culmen Length (mm)":50.8,"Culmen Depth (mm)":19,"Flipper Length (mm)":210,"Body Mass (g)":4100,"Sex":"MALE","Delta 15 N (o/oo)":9.98044,"Delta 13 C (o/oo)":-24.68741,"Comments":null}
// A lone expression with await: its value is the result.
await tools.lookup({ dataset: "penguins-raw", column: "Individual ID", value: "N100A1" })
