// expect: EXCEPTION NotFoundError NOT_FOUND
// The error of a tool that the script does not catch.
const emperor = await tools.lookup({ dataset: "penguins", column: "species", value: "Emperor" });
return emperor.body_mass_g;
