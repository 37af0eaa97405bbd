// Event-driven simulation of a mapped netlist: the energy of its transitions, cycle by cycle.
//
// Reads one netlist and one stimulus in the format that `calibrate` writes (see print_netlist
// there): gates as truth tables with a delay per input and edge, flip-flops, and for every net the
// energy of one rise and one fall. A gate's output is inertial: a pulse shorter than the gate's
// delay does not appear. Prints, summed over the counted cycles: the energy of all transitions, the
// energy of settled transitions (value at the end of a cycle against the end of the one before),
// the toggles of the counted inputs, and a checksum of the watched outputs' last values, for
// comparison with a model. Standard library only; not part of the build.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <queue>
#include <string>
#include <vector>

struct Gate {
  int out = 0;
  std::vector<int> in;
  std::vector<bool> table;      // index: bit i is input i
  std::vector<int> rise, fall;  // delay from input i, femtoseconds
  bool pending = false, pending_value = false;
  std::uint64_t pending_id = 0;
};

struct Flop {
  int d = 0, q = 0;
  bool inverted = false;  // q is the inverse of d
  int delay = 0;
};

struct Event {
  std::int64_t time;
  std::uint64_t id;
  int gate;  // -1: a source (flop or input) drives `net`
  int net;
  bool value;
  bool operator>(const Event& o) const { return time != o.time ? time > o.time : id > o.id; }
};

int main() {
  std::ios::sync_with_stdio(false);
  std::string word;
  std::vector<double> rise_pj, fall_pj;
  std::vector<Gate> gates;
  std::vector<Flop> flops;
  std::vector<int> inputs, counted, watched;
  std::vector<std::pair<int, bool>> constants;
  int input_delay = 0, skip = 0;
  std::vector<std::vector<bool>> vectors;
  while (std::cin >> word) {
    if (word == "nets") {
      std::size_t n = 0;
      std::cin >> n;
      rise_pj.resize(n);
      fall_pj.resize(n);
      for (std::size_t i = 0; i < n; ++i) std::cin >> rise_pj[i] >> fall_pj[i];
    } else if (word == "gate") {
      Gate g;
      std::size_t n = 0;
      std::string table;
      std::cin >> g.out >> n;
      g.in.resize(n), g.rise.resize(n), g.fall.resize(n);
      for (std::size_t i = 0; i < n; ++i) std::cin >> g.in[i] >> g.rise[i] >> g.fall[i];
      std::cin >> table;
      for (const char c : table) g.table.push_back(c == '1');
      gates.push_back(std::move(g));
    } else if (word == "flop") {
      Flop f;
      std::cin >> f.d >> f.q >> f.inverted >> f.delay;
      flops.push_back(f);
    } else if (word == "constant") {
      int net = 0, value = 0;
      std::cin >> net >> value;
      constants.emplace_back(net, value != 0);
    } else if (word == "inputs" || word == "counted" || word == "watched") {
      auto& list = word == "inputs" ? inputs : word == "counted" ? counted : watched;
      std::size_t n = 0;
      std::cin >> n;
      list.resize(n);
      for (int& net : list) std::cin >> net;
    } else if (word == "input_delay") {
      std::cin >> input_delay;
    } else if (word == "skip") {
      std::cin >> skip;
    } else if (word == "vector") {
      std::string bits;
      std::cin >> bits;
      std::vector<bool> v;
      for (const char c : bits) v.push_back(c == '1');
      vectors.push_back(std::move(v));
    } else {
      std::cerr << "gate_energy: unknown word " << word << "\n";
      return 2;
    }
  }

  std::vector<char> value(rise_pj.size(), 0);
  std::vector<std::vector<std::pair<int, int>>> readers(value.size());  // gate, input
  for (std::size_t g = 0; g < gates.size(); ++g) {
    for (std::size_t i = 0; i < gates[g].in.size(); ++i)
      readers[static_cast<std::size_t>(gates[g].in[i])].emplace_back(static_cast<int>(g),
                                                                     static_cast<int>(i));
  }
  for (const auto& [net, v] : constants) value[static_cast<std::size_t>(net)] = v;

  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue;
  std::uint64_t next_id = 1, events = 0;
  double all_pj = 0;
  const auto evaluate = [&](const Gate& g) {
    std::size_t index = 0;
    for (std::size_t i = 0; i < g.in.size(); ++i)
      if (value[static_cast<std::size_t>(g.in[i])]) index |= std::size_t{1} << i;
    return bool(g.table[index]);
  };
  const auto consider = [&](int number, int pin, std::int64_t now) {
    Gate& g = gates[static_cast<std::size_t>(number)];
    const bool wanted = evaluate(g);
    const bool current = value[static_cast<std::size_t>(g.out)];
    if (g.pending) {
      if (wanted == g.pending_value) return;
      g.pending = false;  // shorter than the gate: swallowed
    }
    if (wanted == current) return;
    const int delay = (wanted ? g.rise : g.fall)[static_cast<std::size_t>(pin)];
    g.pending = true, g.pending_value = wanted, g.pending_id = next_id;
    queue.push({now + delay, next_id++, number, g.out, wanted});
  };
  const auto run = [&] {
    while (!queue.empty()) {
      const Event e = queue.top();
      queue.pop();
      if (e.gate >= 0) {
        Gate& g = gates[static_cast<std::size_t>(e.gate)];
        if (!g.pending || g.pending_id != e.id) continue;
        g.pending = false;
      }
      const auto net = static_cast<std::size_t>(e.net);
      if (bool(value[net]) == e.value) continue;
      value[net] = e.value;
      all_pj += e.value ? rise_pj[net] : fall_pj[net];
      ++events;
      for (const auto& [g, pin] : readers[net]) consider(g, pin, e.time);
    }
  };
  for (std::size_t g = 0; g < gates.size(); ++g)
    if (!gates[g].in.empty()) consider(static_cast<int>(g), 0, 0);
  run();

  double settled_pj = 0, glitch_pj = 0;
  std::uint64_t cycles = 0, settled_toggles = 0, all_toggles = 0, input_toggles = 0,
                checksum = 1469598103934665603ull;
  std::vector<char> before = value;
  for (std::size_t cycle = 0; cycle < vectors.size(); ++cycle) {
    // The clock edge: flip-flops take what settled, inputs change as if they were flip-flops.
    std::vector<bool> next;
    for (const Flop& f : flops)
      next.push_back(bool(value[static_cast<std::size_t>(f.d)]) != f.inverted);
    all_pj = 0, events = 0;
    for (std::size_t i = 0; i < flops.size(); ++i)
      queue.push({flops[i].delay, next_id++, -1, flops[i].q, next[i]});
    for (std::size_t i = 0; i < inputs.size(); ++i)
      queue.push({input_delay, next_id++, -1, inputs[i], vectors[cycle][i]});
    run();
    if (cycle >= static_cast<std::size_t>(skip)) {
      ++cycles;
      glitch_pj += all_pj;
      all_toggles += events;
      for (std::size_t n = 0; n < value.size(); ++n) {
        if (value[n] == before[n]) continue;
        settled_pj += value[n] ? rise_pj[n] : fall_pj[n];
        ++settled_toggles;
      }
      for (const int n : counted)
        input_toggles += value[static_cast<std::size_t>(n)] != before[static_cast<std::size_t>(n)];
    }
    for (const int n : watched)
      checksum = (checksum ^ static_cast<std::uint64_t>(value[static_cast<std::size_t>(n)])) *
                 1099511628211ull;
    before = value;
  }
  std::string last;
  for (const int n : watched)
    last.insert(last.begin(), value[static_cast<std::size_t>(n)] ? '1' : '0');
  std::printf(
      "cycles %llu settled_pj %.9g all_pj %.9g settled_toggles %llu all_toggles %llu input_toggles "
      "%llu last %s\n",
      static_cast<unsigned long long>(cycles), settled_pj, glitch_pj,
      static_cast<unsigned long long>(settled_toggles),
      static_cast<unsigned long long>(all_toggles), static_cast<unsigned long long>(input_toggles),
      last.empty() ? "-" : last.c_str());
}
