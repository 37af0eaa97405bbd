"""The part of Liberty that prices a mapped netlist: areas, pin capacitances, delays, internal energies, leakage.

Standard library only. Cells are parsed when first asked for, so a library of 40 MB costs what its used cells cost.
"""
import itertools
import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z0-9_.\-+*!&|^\'<>\[\]/]+|[(){}:;,]', re.S)


class Group:
    """name (arguments) { attributes and groups }"""

    def __init__(self, name, arguments):
        self.name, self.arguments, self.attributes, self.groups = name, arguments, {}, []
        self.fanout_lengths = []  # the one attribute that occurs more than once

    def all(self, name):
        return [g for g in self.groups if g.name == name]

    def get(self, name, default=None):
        return self.attributes.get(name, default)


def _unquote(text):
    return text[1:-1].replace("\\\n", " ").replace("\\", " ") if text.startswith('"') else text


def _parse(tokens, at, group):
    """Fills `group` up to its closing brace; returns the place behind it."""
    while tokens[at] != "}":
        name = tokens[at]
        at += 1
        if name == ";":
            continue
        if tokens[at] == ":":
            value = []
            at += 1
            while tokens[at] not in (";", "}"):
                value.append(_unquote(tokens[at]))
                at += 1
                if tokens[at] not in (";", "}") and at + 1 < len(tokens) and tokens[at + 1] in (":", "("):
                    break  # a missing semicolon
            group.attributes[name] = " ".join(value)
        elif tokens[at] == "(":
            arguments = []
            at += 1
            while tokens[at] != ")":
                if tokens[at] != ",":
                    arguments.append(_unquote(tokens[at]))
                at += 1
            at += 1
            if at < len(tokens) and tokens[at] == "{":
                child = Group(name, arguments)
                at = _parse(tokens, at + 1, child)
                group.groups.append(child)
            else:
                group.attributes[name] = arguments
                if name == "fanout_length":
                    group.fanout_lengths.append([float(x) for a in arguments for x in a.split()])
    return at + 1


def expression(text, pins):
    """A Boolean function of Liberty as a Python function of a tuple of bits in the order of `pins`."""
    tokens = re.findall(r"[A-Za-z_][A-Za-z0-9_\[\]]*|[01]|[()!'&*|+^]", text)
    at = 0

    def primary():
        nonlocal at
        token = tokens[at]
        at += 1
        if token == "(":
            inner = disjunction()
            at += 1
        elif token == "!":
            return f"(1^{primary()})"
        elif token in "01":
            inner = token
        else:
            inner = f"v[{pins.index(token)}]"
        while at < len(tokens) and tokens[at] == "'":
            inner = f"(1^{inner})"
            at += 1
        return inner

    def exclusive():
        nonlocal at
        left = primary()
        while at < len(tokens) and tokens[at] == "^":
            at += 1
            left = f"({left}^{primary()})"
        return left

    def conjunction():
        nonlocal at
        left = exclusive()
        while at < len(tokens) and tokens[at] not in ")|+":
            if tokens[at] in "&*":
                at += 1
            left = f"({left}&{exclusive()})"
        return left

    def disjunction():
        nonlocal at
        left = conjunction()
        while at < len(tokens) and tokens[at] in "|+":
            at += 1
            left = f"({left}|{conjunction()})"
        return left

    return eval("lambda v: " + disjunction(), {})  # made of indices and operators alone


def _numbers(arguments):
    return [float(x) for x in " ".join(arguments).replace(",", " ").split()]


def _bracket(axis, x):
    """Index and share for a linear interpolation; the ends are kept, not extended."""
    if len(axis) == 1 or x <= axis[0]:
        return 0, 0.0
    for i in range(len(axis) - 1):
        if x <= axis[i + 1]:
            return i, (x - axis[i]) / (axis[i + 1] - axis[i])
    return len(axis) - 2, 1.0


class Library:
    """`paths`: Liberty files of one set of cells; `dont_use`: patterns of cells left out of synthesis."""

    def __init__(self, paths, dont_use=()):
        self.texts, self.blocks, self.cells, self.templates = [], {}, {}, {}
        self.dont_use = [re.compile(p.replace("*", ".*") + "$") for p in dont_use]
        for path in paths:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
            self.texts.append(text)
            first = None
            for match in re.finditer(r"^\s*cell\s*\(\s*\"?([A-Za-z0-9_]+)\"?\s*\)\s*\{", text, re.M):
                first = match.start() if first is None else first
                self.blocks[match.group(1)] = (text, match.end())
            self._header(text[:first] + "}")
        self.volts = float(self.header.get("nom_voltage", 1))

    def _header(self, text):
        root = Group("root", [])
        _parse(_TOKEN.findall(text) + ["}"], 0, root)
        self.header = root.groups[0]
        for group in self.header.groups:
            if group.name in ("lu_table_template", "power_lut_template"):
                self.templates[group.arguments[0]] = group
        factor, unit = self.header.get("capacitive_load_unit")
        self.ff = float(factor) * {"ff": 1, "pf": 1000}[unit.lower()]
        count, unit = re.match(r"([0-9.]+)\s*([a-z]+)", self.header.get("time_unit")).groups()
        self.ps = float(count) * {"ns": 1000, "ps": 1}[unit]
        count, unit = re.match(r"([0-9.]+)\s*([a-zA-Z]+)", self.header.get("leakage_power_unit", "1nW")).groups()
        self.uw = float(count) * {"mW": 1e3, "uW": 1, "nW": 1e-3, "pW": 1e-6}[unit]
        self.wire_loads = {g.arguments[0]: g for g in self.header.all("wire_load")}

    def usable(self, name):
        return not any(p.match(name) for p in self.dont_use)

    def merged(self):
        """One library without unusable cells, for synthesis and timing."""
        first = self.texts[0][:self._first_cell(self.texts[0])]
        out = [first]
        for text in self.texts[1:]:  # templates that the first file does not have
            for match in re.finditer(r"^\s*(?:lu_table_template|power_lut_template)\s*\(\s*(\w+)\s*\)\s*\{[^{}]*\}",
                                     text[:self._first_cell(text)], re.M):
                if f"({match.group(1)})" not in "".join(out).replace(" ", ""):
                    out.append(match.group() + "\n")
        for name, (text, start) in self.blocks.items():
            if self.usable(name):
                out.append(f"  cell ({name}) {{" + self._body(text, start))
        return "".join(out) + "\n}\n"

    @staticmethod
    def _first_cell(text):
        return re.search(r"^\s*cell\s*\(", text, re.M).start()

    @staticmethod
    def _body(text, start):
        """From behind a cell's opening brace to behind its closing one."""
        depth, at = 1, start
        for match in re.compile(r'[{}]|"(?:[^"\\]|\\.)*"', re.S).finditer(text, start):
            if match.group() == "{":
                depth += 1
            elif match.group() == "}":
                depth -= 1
                if depth == 0:
                    at = match.end()
                    break
        return text[start:at]

    def cell(self, name):
        if name not in self.cells:
            text, start = self.blocks[name]
            group = Group("cell", [name])
            _parse(_TOKEN.findall(self._body(text, start)), 0, group)
            self.cells[name] = Cell(self, group)
        return self.cells[name]

    def table(self, group, slew, load):
        """A table at a slew (ps) and a load (fF); units of the file."""
        axes = []
        template = self.templates.get(group.arguments[0]) if group.arguments else None
        for i in (1, 2):
            index = group.get(f"index_{i}") or (template.get(f"index_{i}") if template else None)
            variable = template.get(f"variable_{i}", "") if template else ""
            if index:
                axes.append((_numbers(index), variable))
        values = _numbers(group.get("values"))
        points = []
        for axis, variable in axes:
            points.append(_bracket(axis, load / self.ff if "capacitance" in variable else slew / self.ps))
        if not points:
            return values[0]
        if len(points) == 1:
            i, f = points[0]
            return values[i] * (1 - f) + (values[i + 1] * f if f else 0)
        (i, f), (j, g) = points
        n = len(axes[1][0])
        at = lambda a, b: values[min(a, len(axes[0][0]) - 1) * n + min(b, n - 1)]
        return (1 - f) * ((1 - g) * at(i, j) + g * at(i, j + 1)) + f * ((1 - g) * at(i + 1, j) + g * at(i + 1, j + 1))


def _mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


class Cell:
    def __init__(self, library, group):
        self.library, self.name = library, group.arguments[0]
        self.area = float(group.get("area", 0))
        pins = group.all("pin")
        self.inputs = [p.arguments[0] for p in pins if p.get("direction") == "input"]
        self.outputs = [p.arguments[0] for p in pins if p.get("direction") == "output"]
        self.pins = {p.arguments[0]: p for p in pins}
        self.capacitance = {n: float(self.pins[n].get("capacitance", 0)) * library.ff for n in self.inputs}
        self.ff = (group.all("ff") or [None])[0]
        leak = group.get("cell_leakage_power")
        ground = re.compile(r"vss|gnd|vgnd", re.I)
        states = [float(g.get("value")) for g in group.all("leakage_power")
                  if not ground.match(g.get("related_pg_pin", ""))]
        self.leakage_uw = (float(leak) if leak is not None and not states else _mean(states)) * library.uw
        self._cache = {}

    def function(self, pin):
        """Truth table over self.inputs, index bit i = input i."""
        if pin not in self._cache:
            f = expression(self.pins[pin].get("function"), self.inputs)
            self._cache[pin] = "".join(
                str(f(tuple(i >> b & 1 for b in range(len(self.inputs)))) & 1) for i in range(1 << len(self.inputs)))
        return self._cache[pin]

    def _outputs_at(self, state):
        index = sum(bit << i for i, bit in enumerate(state))
        return tuple(int(self.function(pin)[index]) for pin in self.outputs)

    def _power_groups(self, pin):
        """Groups of internal power by supply pin: what flows through each adds up."""
        supplies = {}
        for group in self.pins[pin].all("internal_power"):
            supplies.setdefault(group.get("related_pg_pin", ""), []).append(group)
        return supplies.values()

    def _fj(self, group, edge, slew, load):
        table = group.all(f"{edge}_power") or group.all("power")
        # Energy of a table: voltage unit squared times the unit of capacitance.
        return self.library.table(table[0], slew, load) * self.library.ff if table else 0.0

    def output_fj(self, pin, slew, load):
        """Internal energy of one rise and one fall of an output: mean over arcs and conditions."""
        return tuple(sum(_mean(self._fj(g, e, slew, load) for g in groups) for groups in self._power_groups(pin))
                     for e in ("rise", "fall"))

    def input_fj(self, pin, slew):
        """Internal energy of one rise and one fall of an input, on top of what outputs are charged.

        Combinational: each condition by its share of the states of the other inputs. Flip-flops: mean over the
        conditions listed.
        """
        result = []
        for edge in ("rise", "fall"):
            total = 0.0
            for groups in self._power_groups(pin):
                for g in groups:
                    share = 1.0 / len(groups)
                    if not self.ff and g.get("when"):
                        f = expression(g.get("when"), self.inputs + self.outputs)
                        states = itertools.product((0, 1), repeat=len(self.inputs))
                        share = _mean(f(s + self._outputs_at(s)) & 1 for s in states)
                    total += share * self._fj(g, edge, slew, 0)
            result.append(total)
        return tuple(result)

    def delay_ps(self, output, pin, slew, load):
        """Rise and fall of an output behind an input: mean over conditions; the slowest arc where it has none."""
        arcs = [t for t in self.pins[output].all("timing") if "cell_rise" in [g.name for g in t.groups]]
        own = [t for t in arcs if t.get("related_pin", "").split() == [pin]] or arcs
        return tuple(_mean(self.library.table(t.all(f"cell_{e}")[0], slew, load) * self.library.ps
                           for t in own if t.all(f"cell_{e}")) for e in ("rise", "fall"))
