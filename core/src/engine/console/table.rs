//! `console.table`: rows and columns in a frame.

use std::collections::HashMap;

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{ESClass, JS_GetTypedArrayLength, JS_IsTypedArrayObject, JSObject, jsid};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::IdVector;
use mozjs::rust::wrappers2::{GetArrayLength, GetBuiltinClass, JS_GetElement, MapSize, SetSize};

use super::inspect::{Cut, Inspector, Options, Text};
use super::layout;
use super::read::{self, Key, Own};
use crate::engine::thrown::{JsResult, Thrown, check};

const MAX_ROWS: usize = 1000;
const MAX_COLUMNS: usize = 100;
/// What a row takes beside its texts: it gets a place for each column.
const ROW: usize = 2 * (size_of::<Row>() + MAX_COLUMNS * size_of::<String>());
/// Objects with more keys are only named.
const MAX_KEYS_IN_CELL: usize = 2;
/// A table has no room for more.
const CELL: Options = Options { depth: 0, max_items: 3, break_length: usize::MAX };

/// The table of an object; none for any other value. `columns`, if it is an array, says which columns to show.
pub(super) fn table(
    cx: &mut JSContext,
    inspector: &mut Inspector,
    data: Handle<JSVal>,
    columns: Handle<JSVal>,
) -> Result<Option<String>, Cut> {
    if !data.get().is_object() {
        return Ok(None);
    }
    rooted!(&in(cx) let mut object = data.get().to_object());
    if !read::unwrap_proxies(inspector.state, object.handle_mut())? {
        return Ok(None);
    }
    let usual = std::mem::replace(&mut inspector.options, CELL);
    let text = match class_of(cx, object.handle())? {
        ESClass::Map => collection(cx, inspector, object.handle(), true),
        ESClass::Set => collection(cx, inspector, object.handle(), false),
        _ => rows(cx, inspector, object.handle(), columns),
    };
    inspector.options = usual;
    text.map(Some)
}

fn class_of(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<ESClass> {
    let mut class = ESClass::Other;
    // SAFETY: `object` is rooted and no proxy; `class` is a valid place.
    check(unsafe { GetBuiltinClass(cx, object, &mut class) })?;
    Ok(class)
}

/// The string keys of an object: those of arrays are only counted.
enum Keys {
    Indices(usize),
    Listed(IdVector),
}

impl Keys {
    fn of(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<Self> {
        // SAFETY: `object` is rooted, and an array or typed array where its length is asked.
        unsafe {
            if JS_IsTypedArrayObject(object.get()) {
                return Ok(Keys::Indices(JS_GetTypedArrayLength(object.get())));
            }
            if class_of(cx, object)? == ESClass::Array {
                let mut length = 0;
                check(GetArrayLength(cx, object, &mut length))?;
                return Ok(Keys::Indices(length as usize));
            }
        }
        Ok(Keys::Listed(read::keys(cx, object)?))
    }

    fn len(&self) -> usize {
        match self {
            Keys::Indices(length) => *length,
            // Symbols come last.
            Keys::Listed(ids) => ids.iter().take_while(|id| !id.is_symbol()).count(),
        }
    }

    /// The key at a place below [`MAX_ROWS`].
    fn get(&self, place: usize) -> jsid {
        match self {
            Keys::Indices(_) => mozjs::jsid::IntId(place as i32),
            Keys::Listed(ids) => ids[place],
        }
    }
}

/// A table in the making.
#[derive(Default)]
struct Table {
    columns: Vec<String>,
    places: HashMap<String, usize>,
    rows: Vec<Row>,
    has_values: bool,
}

#[derive(Default)]
struct Row {
    label: String,
    cells: Vec<String>,
    /// What stands for a row that is no object.
    value: String,
}

impl Table {
    /// The place of a column; none if there are too many.
    fn column(&mut self, name: String) -> Option<usize> {
        if let Some(place) = self.places.get(&name) {
            return Some(*place);
        }
        if self.columns.len() == MAX_COLUMNS {
            return None;
        }
        self.columns.push(name.clone());
        self.places.insert(name, self.columns.len() - 1);
        Some(self.columns.len() - 1)
    }

    fn add_columns(&mut self, names: &[String]) {
        for name in names {
            self.column(name.clone());
        }
    }

    fn render(self, inspector: &mut Inspector, left_out: usize) -> Text {
        let mut head = vec!["(index)".to_owned()];
        let columns = self.columns.len();
        head.extend(self.columns);
        head.extend(self.has_values.then(|| "Values".to_owned()));
        let lines = self.rows.into_iter().map(|mut row| {
            row.cells.resize(columns, String::new());
            let mut line = vec![row.label];
            line.append(&mut row.cells);
            line.extend(self.has_values.then_some(row.value));
            line
        });
        frame(inspector, head, lines.collect(), left_out)
    }
}

fn rows(cx: &mut JSContext, inspector: &mut Inspector, data: Handle<*mut JSObject>, columns: Handle<JSVal>) -> Text {
    let mut table = Table::default();
    let chosen = chosen_columns(cx, inspector, columns)?;
    let keys = Keys::of(cx, data)?;
    let count = keys.len();
    rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
    rooted!(&in(cx) let mut value = UndefinedValue());
    rooted!(&in(cx) let mut object = std::ptr::null_mut::<JSObject>());
    for place in 0..count.min(MAX_ROWS) {
        if inspector.state.killed() {
            return Err(Thrown.into());
        }
        id.set(keys.get(place));
        let own = read::own(cx, data, Key::Id(id.handle()), value.handle_mut())?;
        if let Own::Missing = own {
            continue;
        }
        let label = inspector.plain_key(cx, id.handle())?;
        inspector.take_room(ROW)?;
        let mut row = Row { label: inspector.made(label)?, ..Row::default() };
        let is_row = matches!(own, Own::Value { .. }) && value.get().is_object() && {
            object.set(value.get().to_object());
            read::unwrap_proxies(inspector.state, object.handle_mut())?
        };
        if is_row {
            cells(cx, inspector, object.handle(), chosen.as_deref(), &mut table, &mut row)?;
        } else if let Some(names) = &chosen {
            table.add_columns(names);
        } else {
            row.value = cell(cx, inspector, own, value.handle())?;
            table.has_values = true;
        }
        table.rows.push(row);
    }
    table.render(inspector, count.saturating_sub(MAX_ROWS))
}

fn cells(
    cx: &mut JSContext,
    inspector: &mut Inspector,
    object: Handle<*mut JSObject>,
    chosen: Option<&[String]>,
    table: &mut Table,
    row: &mut Row,
) -> Result<(), Cut> {
    table.add_columns(chosen.unwrap_or_default());
    let keys = Keys::of(cx, object)?;
    rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
    rooted!(&in(cx) let mut value = UndefinedValue());
    // Chosen columns may stand behind others.
    let looked_at = if chosen.is_some() { MAX_ROWS } else { MAX_COLUMNS };
    for place in 0..keys.len().min(looked_at) {
        id.set(keys.get(place));
        let name = inspector.plain_key(cx, id.handle())?;
        if chosen.is_some_and(|names| !names.contains(&name)) {
            continue;
        }
        let own = read::own(cx, object, Key::Id(id.handle()), value.handle_mut())?;
        if let Own::Missing = own {
            continue;
        }
        let Some(column) = table.column(inspector.made(name)?) else {
            break;
        };
        if row.cells.len() <= column {
            row.cells.resize(column + 1, String::new());
        }
        row.cells[column] = cell(cx, inspector, own, value.handle())?;
    }
    Ok(())
}

fn cell(cx: &mut JSContext, inspector: &mut Inspector, own: Own, value: Handle<JSVal>) -> Text {
    if let Own::Accessor(label) = own {
        return inspector.made(label.into());
    }
    if value.get().is_object() {
        rooted!(&in(cx) let mut object = value.get().to_object());
        let keys = match read::unwrap_proxies(inspector.state, object.handle_mut())? {
            true => Keys::of(cx, object.handle())?,
            false => Keys::Indices(0),
        };
        if matches!(keys, Keys::Listed(_)) && keys.len() > MAX_KEYS_IN_CELL {
            inspector.options.depth = -1;
        }
    }
    let text = inspector.value(cx, value, None);
    inspector.options.depth = CELL.depth;
    text
}

/// The strings in an array; none if it is no array.
fn chosen_columns(
    cx: &mut JSContext,
    inspector: &mut Inspector,
    columns: Handle<JSVal>,
) -> Result<Option<Vec<String>>, Cut> {
    if !columns.get().is_object() || read::is_proxy(columns.get().to_object()) {
        return Ok(None);
    }
    rooted!(&in(cx) let array = columns.get().to_object());
    let Keys::Indices(count) = Keys::of(cx, array.handle())? else {
        return Ok(None);
    };
    let mut names = Vec::new();
    rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
    rooted!(&in(cx) let mut name = UndefinedValue());
    for index in 0..count.min(MAX_COLUMNS) {
        id.set(mozjs::jsid::IntId(index as i32));
        if read::own_value(cx, array.handle(), Key::Id(id.handle()), name.handle_mut())? && !name.get().is_object() {
            names.push(inspector.argument(cx, name.handle())?);
        }
    }
    Ok(Some(names))
}

/// The table of a map or set.
fn collection(cx: &mut JSContext, inspector: &mut Inspector, object: Handle<*mut JSObject>, is_map: bool) -> Text {
    let flat = read::entries(cx, inspector.state, object, is_map, MAX_ROWS)?;
    rooted!(&in(cx) let array = flat.array);
    // SAFETY: `object` is a rooted map or set.
    let size = unsafe { if is_map { MapSize(cx, object) } else { SetSize(cx, object) } } as usize;
    let width = if is_map { 2 } else { 1 };
    rooted!(&in(cx) let mut item = UndefinedValue());
    let mut rows = Vec::new();
    for index in 0..flat.count / width {
        let mut row = vec![index.to_string()];
        for part in 0..width {
            // SAFETY: `array` is our own and rooted, as is `item`.
            check(unsafe { JS_GetElement(cx, array.handle(), index * width + part, item.handle_mut()) })?;
            row.push(cell(cx, inspector, Own::Value { enumerable: true }, item.handle())?);
        }
        rows.push(row);
    }
    let head = ["(iteration index)", "Key", "Values"].map(str::to_owned);
    let head = head.into_iter().filter(|name| is_map || name != "Key").collect();
    frame(inspector, head, rows, size.saturating_sub(MAX_ROWS))
}

/// Draws a table; every row has a cell for every column.
fn frame(inspector: &mut Inspector, head: Vec<String>, rows: Vec<Vec<String>>, left_out: usize) -> Text {
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let border = |left: char, middle: &str, right: char| {
        let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}", bars.join(middle))
    };
    let mut text = border('┌', "┬", '┐') + "\n";
    for (index, row) in std::iter::once(&head).chain(&rows).enumerate() {
        text.push('│');
        for (width, cell) in widths.iter().zip(row) {
            text += &format!(" {cell:width$} │");
        }
        text.push('\n');
        if index == 0 {
            text += &(border('├', "┼", '┤') + "\n");
        }
        inspector.check(&text)?;
    }
    text += &border('└', "┴", '┘');
    if left_out > 0 {
        text += &format!("\n{}", layout::more(left_out, "row", "rows"));
    }
    inspector.whole(text)
}
