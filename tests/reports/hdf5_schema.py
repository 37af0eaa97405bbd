"""Holds result files against reports/SCHEMA.md as a reader with h5py sees them.

    hdf5_schema.py SCHEMA.md FILE.h5 FILE.json [FILE.h5 FILE.json ...]   files, each with its --json
    hdf5_schema.py SCHEMA.md --example                                   its example, verbatim, here

Every dataset that the page names is there unless the page lets it be absent, nothing else is, and types, shapes,
attributes and values are what page and JSON say. Prints a line a fault; exit status 1 with any, 77 without h5py.
"""
import json
import math
import re
import sys

try:
    import h5py
    import numpy
except ImportError as error:
    print(f"h5py cannot be imported: {error}")
    sys.exit(77)

faults = []


def expect(holds, what):
    if not holds:
        faults.append(what)


# --- the page -----------------------------------------------------------------------------------------------------------


class Dataset:
    """A line of the page, of one name. `pattern` has a group for what a capital letter stands for."""

    def __init__(self, name, type_, unit, shape, optional):
        self.name, self.type, self.unit, self.shape, self.optional = name, type_, unit, shape, optional
        self.group = name.rsplit("/", 1)[0]
        self.pattern = re.compile(re.sub(r"(?<=[_/])(?:[ACDR]|NAME)(?=$)", r"(\\w+)", re.escape(name)))
        self.varies = self.pattern.groups > 0


def nth(list_, i):
    """One for each name; the last goes on."""
    return list_[min(i, len(list_) - 1)]


def datasets_of(section):
    """The datasets that the tables of a section name."""
    found = []
    optional_groups = set()
    for line in section.splitlines():
        if not line.startswith("| `/"):
            continue
        names_cell, types, units = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:4]]
        words = re.findall(r"`([^`]+)`|(\*optional group\*|\*optional\*)", names_cell)
        names, waiting = [], []  # waiting: names that the next shape is of
        group = ""
        optional = False
        for word, mark in words:
            if mark == "*optional group*":
                optional_groups.add(group)
            elif mark == "*optional*":
                optional = True
            elif word.startswith("["):
                for name in waiting:
                    name[1] = tuple(part.strip() for part in word[1:-1].split(","))
                waiting = []
            else:
                if word.startswith("/"):
                    group = word.rsplit("/", 1)[0]
                names.append([word if word.startswith("/") else f"{group}/{word}", ()])
                waiting.append(names[-1])
        optional = optional or "may be absent" in line
        for i, (name, shape) in enumerate(names):
            found.append(Dataset(name, nth(types.split(", "), i), nth(units.split(", "), i), shape, optional))
    for each in found:
        # A group within an optional one is as optional; in one that is there nothing is absent.
        each.in_optional_group = any(f"{each.group}/".startswith(f"{g}/") for g in optional_groups)
    return found


class Page:
    def __init__(self, path):
        self.text = open(path, encoding="utf-8").read()
        run, sweep = self.text.split("# A merged sweep", 1)
        self.datasets = {"systole-result": datasets_of(run), "systole-sweep": datasets_of(sweep)}
        self.versions = {
            "systole-result": int(re.search(r"`schema_version` = (\d+)", run)[1]),
            "systole-sweep": int(re.search(r"`schema_version` = (\d+)", sweep)[1]),
        }

    def example(self):
        return re.search(r"```python\n(.*?)```", self.text, re.S)[1]


# --- what a file has ----------------------------------------------------------------------------------------------------


def text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


def values_of(dataset):
    """As Python's own values; texts as str."""
    read = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
    return read.tolist() if isinstance(read, (numpy.ndarray, numpy.generic)) else read


class File:
    """A whole file, or the group of one report in a sweep."""

    def __init__(self, root, where, page):
        self.root, self.where = root, where
        self.format = text(root.attrs["format"])
        expect(self.format in page.datasets, f"{where}: format {self.format}")
        expect(root.attrs["schema_version"] == page.versions[self.format], f"{where}: schema_version")
        self.described = page.datasets[self.format]
        self.reports = []
        self.datasets, self.groups = {}, set()
        root.visititems(self.visit)

    def visit(self, name, item):
        if not isinstance(item, h5py.Dataset):
            self.groups.add("/" + name)
            return
        inner = re.match(r"reports/(\d+)/", name) if self.format == "systole-sweep" else None
        if inner:
            self.reports.append(int(inner[1]))
        else:
            self.datasets["/" + name] = item

    def check(self):
        claimed = set()
        extents = {}
        for line in self.described:
            if line.name.endswith("/R"):
                continue
            matching = [n for n in self.datasets if line.pattern.fullmatch(n)]
            claimed.update(matching)
            may_be_absent = line.optional or (line.in_optional_group and line.group not in self.groups)
            expect(matching or line.varies or may_be_absent, f"{self.where}: {line.name} is missing")
            for name in matching:
                self.check_dataset(name, self.datasets[name], line, extents)
        for name in self.datasets:
            expect(name in claimed, f"{self.where}: {name} is not in SCHEMA.md")

    def check_dataset(self, name, item, line, extents):
        at = f"{self.where}: {name}"
        kind = h5py.check_string_dtype(item.dtype)
        if line.type == "text":
            expect(kind and kind.encoding == "utf-8" and kind.length, f"{at}: is no UTF-8 text of a fixed width")
        else:
            dtype = {"U64": "<u8", "F64": "<f8"}[line.type]
            expect(item.dtype == numpy.dtype(dtype), f"{at}: {item.dtype}, not {line.type}")
        expect(item.chunks is None and item.compression is None, f"{at}: is not contiguous and unfiltered")
        unit = text(item.attrs["unit"]) if "unit" in item.attrs else ""
        if line.unit == "its own":
            expect(unit, f"{at}: has no unit")
        else:
            expect(unit == ("" if line.unit == "\u2013" else line.unit), f"{at}: unit '{unit}', not '{line.unit}'")
        expect(len(item.shape) == len(line.shape), f"{at}: shape {item.shape}, not {line.shape}")
        for extent, symbol in zip(item.shape, line.shape):
            if symbol.isdigit():
                expect(extent == int(symbol), f"{at}: extent {extent}, not {symbol}")
            else:
                known = extents.setdefault((symbol, name if line.varies and symbol[-1].isupper() else ""), extent)
                expect(extent == known, f"{at}: {extent} {symbol}, elsewhere {known}")
        if len(line.shape) == 2:
            expect(len(item.attrs["columns"]) == item.shape[1], f"{at}: columns are not named")
        else:
            expect("columns" not in item.attrs, f"{at}: has columns")
        expect(set(item.attrs) <= {"unit", "columns"}, f"{at}: attributes {set(item.attrs)}")

    def __getitem__(self, name):
        return values_of(self.datasets[name])

    def __contains__(self, name):
        return name in self.datasets


# --- the same values as in JSON -----------------------------------------------------------------------------------------


def same(a, b):
    if b is None:  # JSON has no NaN
        return isinstance(a, float) and not math.isfinite(a)
    return a == b


def check_run_values(file, document):
    where, seen = file.where, 0

    def equal(name, value, json_value):
        nonlocal seen
        seen += 1
        expect(same(value, json_value), f"{where}: {name} is {value!r}, in JSON {json_value!r}")

    summary = document["summary"]
    for group in ("identity", "summary", "quality", "kv_sharing"):
        source = summary.get("kv_sharing", {}) if group == "kv_sharing" else summary
        for name in [n for n in file.datasets if n.startswith(f"/{group}/")]:
            key = name.rsplit("/", 1)[1]
            if key in source:
                equal(name, file[name], source[key])

    def rows(group, list_):
        for name in [n for n in file.datasets if re.fullmatch(f"/{group}/\\w+", n)]:
            key = name.rsplit("/", 1)[1]
            values = file[name]
            if not all(key in row for row in list_):
                continue
            expect(len(values) == len(list_), f"{where}: {name} has {len(values)} rows, JSON {len(list_)}")
            columns = [text(c) for c in file.datasets[name].attrs.get("columns", [])]
            for i, row in enumerate(list_):
                equal(f"{name}[{i}]", dict(zip(columns, values[i])) if columns else values[i], row[key])

    rows("operations", document["operations"])
    rows("components", document["components"])
    rows("tiers", document.get("tiers", []))
    rows("sensitivities", document.get("sensitivities", []))
    for name, value in [("/events/name", "/events/count"), ("/config/key", "/config/value"), ("/notes/key", "/notes/value")]:
        pairs = dict(zip(file[name], file[value]))
        equal(name, pairs, document[name.split("/")[1]])
    energies = [{} for _ in document["operations"]]
    for row, part, pj in zip(*(file[f"/operation_energy/{c}"] for c in ("operation", "component", "energy_pj"))):
        energies[row][part] = pj
    for i, row in enumerate(document["operations"]):
        equal(f"/operation_energy of {i}", energies[i], row["energy_pj"])
    cycles = sum(file["/operations/cycles"])
    equal("/operations/cycles, summed", cycles, summary["cycles"])
    expect(seen > 100, f"{where}: only {seen} values compared with JSON")


def check_sweep_values(file, document):
    where = file.where
    expect(file["/points/id"] == [p["id"] for p in document["points"]], f"{where}: ids")
    for key in ("version", "name", "summary", "source", "timing", "search", "grid_points", "planned"):
        expect(file[f"/identity/{key}"] == document[key], f"{where}: /identity/{key}")
    figures = {f["name"]: f["unit"] for f in document["figures"]}
    for name, unit in figures.items():
        expect(f"/figures/{name}" in file, f"{where}: /figures/{name} is missing")
        if f"/figures/{name}" not in file:
            continue
        item = file.datasets[f"/figures/{name}"]
        expect(text(item.attrs["unit"]) == unit, f"{where}: /figures/{name}: unit")
        for value, point in zip(file[f"/figures/{name}"], document["points"]):
            expect(same(value, point["figures"][name]), f"{where}: /figures/{name} of point {point['id']}")
    for i, point in enumerate(document["points"]):
        expect(["done", "refused", "failed"][file["/points/status"][i]] == point["status"], f"{where}: status {i}")
        expect(f"{file['/points/key_high'][i]:016x}{file['/points/key_low'][i]:016x}" == point["key"], f"{where}: key {i}")
        for part, values in (("axis", point["axis"]), ("derived", point["derived"]), ("violation", point["violations"])):
            for a, value in enumerate(values):
                expect(same(file[f"/points/{part}_{a}"][i], value), f"{where}: /points/{part}_{a}[{i}]")
        for key in ("limit", "message"):
            expect(file[f"/points/{key}"][i] == point[key], f"{where}: /points/{key}[{i}]")
    for a, axis in enumerate(document["axes"]):
        expect(file["/space/axis_path"][a] == axis["path"], f"{where}: axis {a}")
        expect(file[f"/space/axis_values_{a}"] == axis["values"], f"{where}: values of axis {a}")
    for key in ("derived", "conditions", "constraints"):
        expect(file[f"/space/{key}"] == document[key], f"{where}: /space/{key}")
    counts = {"A": len(document["axes"]), "D": len(document["derived"]), "C": len(document["constraints"])}
    for prefix, letter in (("/space/axis_values_", "A"), ("/points/axis_", "A"), ("/points/derived_", "D"),
                           ("/points/violation_", "C")):
        numbers = sorted(int(n.removeprefix(prefix)) for n in file.datasets if n.startswith(prefix))
        expect(numbers == list(range(counts[letter])), f"{where}: {prefix}{letter}: {numbers}")


def check_reports(file, page):
    """Each is a whole result, of the point that `/reports/id` says."""
    ids = file["/reports/id"]
    expect(sorted(set(file.reports)) == list(range(len(ids))), f"{file.where}: reports {set(file.reports)} of {ids}")
    cycles = dict(zip(file["/points/id"], file["/figures/cycles"]))
    for i, id_ in enumerate(ids):
        report = File(file.root[f"reports/{i}"], f"{file.where}: report {i}", page)
        report.check()
        expect(report["/summary/cycles"] == cycles[id_], f"{report.where}: cycles of point {id_}")


def main(page_path, arguments):
    page = Page(page_path)
    if arguments == ["--example"]:
        exec(compile(page.example(), page_path, "exec"), {})
        return
    seen = set()
    for path, json_path in zip(arguments[::2], arguments[1::2]):
        with h5py.File(path) as root:
            file = File(root, path, page)
            file.check()
            document = json.load(open(json_path, encoding="utf-8"))
            if file.format == "systole-sweep":
                check_sweep_values(file, document)
                check_reports(file, page)
            else:
                check_run_values(file, document)
            seen.update((file.format, n) for n in file.datasets)
    # What no file has was not looked at.
    for format_, lines in page.datasets.items():
        for line in lines:
            if line.name.endswith("/R"):
                continue
            expect(any(f == format_ and line.pattern.fullmatch(n) for f, n in seen), f"{line.name}: in none of the files")


main(sys.argv[1], sys.argv[2:])
for fault in faults:
    print(fault)
sys.exit(1 if faults else 0)
