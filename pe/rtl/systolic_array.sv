// A systolic array of ROWS x COLS integer elements with sequencer, skew registers and collectors:
// out[m][n][g] = sum over k of group g of moving[m][k] * stationary[n][k].
//
// Parameters: DESIGN 0 integer, 1 MixPE shift-and-add (4-bit slices; 5..8-bit weights in two
// passes), 2 exponent-integer (OliVe, ANT: words {e[2:0], i[3:0]} from decoders at the edge, W_BITS
// = A_BITS = 7). OUTPUT_STATIONARY and PRELOAD choose dataflow and schedule. ACC_DEPTH: words a
// column of the edge accumulators of weight stationary, at least size_m.
//
// Cycles, from the first operand at element (0, 0) to the last one at the last element (or its
// drain), T the stream's length, F the folds, all as pe/array_timing.hpp:
//   weight stationary  serial F (T + 2 ROWS + COLS - 2)
//                      preload ROWS + (F - 1) max(T, ROWS) + T + ROWS + COLS - 2
//   output stationary  serial F (T + ROWS + COLS - 2)
//                      preload (F - 1) max(T, ROWS) + T + 2 ROWS + COLS - 2
// `busy` is high in exactly these cycles. The sequencer computes none of them: it sees the last
// mark arrive at the far corner.
//
// Use: hold the sizes, pulse `start` while idle. Scratchpads answer in the cycle of the request (a
// register file, or an SRAM whose address was taken a cycle before): lane r of moving_data is
// moving[moving_m][moving_k + r] (weight stationary) or moving[moving_m + r][moving_k] (output
// stationary) where moving_live[r], lane c of stationary_data is stationary[stationary_n +
// c][stationary_k] where stationary_live[c]; other lanes are not looked at. For MixPE the data is
// the whole 8-bit weight (STATIONARY_DATA_BITS), sliced here. Results: a word a column and cycle,
// valid in the cycle shown, with its place (m, n, g). `done` is high from the cycle after the last
// result until the next start. A low en holds every register; requests and results of such a cycle
// are repeated in the next. Source: pe/array_core.hpp, pe/array_timing.hpp.
module systolic_array #(
    parameter int ROWS                 = 4,
    parameter int COLS                 = 4,
    parameter int DESIGN               = 0,
    parameter bit OUTPUT_STATIONARY    = 1'b0,
    parameter bit PRELOAD              = 1'b0,
    parameter int W_BITS               = 8,
    parameter int A_BITS               = 8,
    parameter int ACC_BITS             = 32,
    parameter int DIM_BITS             = 16,
    parameter int ACC_DEPTH            = 64,
    parameter int STATIONARY_DATA_BITS = W_BITS
) (
    input  logic clk,
    input  logic rst,
    input  logic en,

    input  logic                start,
    input  logic [DIM_BITS-1:0] size_m,
    input  logic [DIM_BITS-1:0] size_n,
    input  logic [DIM_BITS-1:0] group_length,  // all of K where there are no groups
    input  logic [DIM_BITS-1:0] groups,
    input  logic                two_passes,    // MixPE: weights wider than four bits
    output logic                busy,
    output logic                done,

    output logic                       moving_request,
    output logic [       DIM_BITS-1:0] moving_m,
    output logic [       DIM_BITS-1:0] moving_k,
    output logic [           ROWS-1:0] moving_live,
    input  logic [    ROWS*A_BITS-1:0] moving_data,

    output logic                                 stationary_request,
    output logic [                 DIM_BITS-1:0] stationary_n,
    output logic [                 DIM_BITS-1:0] stationary_k,
    output logic [                     COLS-1:0] stationary_live,
    input  logic [COLS*STATIONARY_DATA_BITS-1:0] stationary_data,

    output logic [         COLS-1:0] result_valid,
    output logic [COLS*DIM_BITS-1:0] result_m,
    output logic [COLS*DIM_BITS-1:0] result_n,
    output logic [COLS*DIM_BITS-1:0] result_group,
    output logic [COLS*ACC_BITS-1:0] result
);
  localparam int CELL_W = DESIGN == 1 ? 6 : W_BITS;
  localparam int M_LINK = A_BITS + 4;
  localparam int S_LINK = CELL_W + 2;
  localparam int P_LINK = ACC_BITS + 2;
  localparam logic [DIM_BITS-1:0] ONE = DIM_BITS'(1);
  localparam logic [DIM_BITS-1:0] ROWS_D = DIM_BITS'(ROWS);

  // --- the grid: link (r, c) enters element (r, c), the last row and column leave the array
  // ---------
  logic [ROWS*(COLS+1)*M_LINK-1:0] moving;
  logic [(ROWS+1)*COLS*S_LINK-1:0] stationary;
  logic [(ROWS+1)*COLS*P_LINK-1:0] sum;
  genvar r, c;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : gen_row
      for (c = 0; c < COLS; c = c + 1) begin : gen_col
        systolic_cell #(
            .DESIGN(DESIGN), .OUTPUT_STATIONARY(OUTPUT_STATIONARY), .PRELOAD(PRELOAD),
            .W_BITS(CELL_W), .A_BITS(A_BITS), .ACC_BITS(ACC_BITS)) element (
            .clk(clk), .rst(rst), .en(en),
            .moving_in(moving[(r*(COLS+1)+c)*M_LINK+:M_LINK]),
            .stationary_in(stationary[(r*COLS+c)*S_LINK+:S_LINK]),
            .sum_in(sum[(r*COLS+c)*P_LINK+:P_LINK]),
            .moving_out(moving[(r*(COLS+1)+c+1)*M_LINK+:M_LINK]),
            .stationary_out(stationary[((r+1)*COLS+c)*S_LINK+:S_LINK]),
            .sum_out(sum[((r+1)*COLS+c)*P_LINK+:P_LINK]));
      end
    end
  endgenerate

  // --- what the sequencer sees of the grid
  // -----------------------------------------------------------
  logic [M_LINK-1:0] corner_moving;
  logic [P_LINK-1:0] corner_sum;
  logic fold_ends, first_arrives;
  assign corner_moving = moving[((ROWS-1)*(COLS+1)+COLS-1)*M_LINK+:M_LINK];
  assign corner_sum = sum[((ROWS-1)*COLS+COLS-1)*P_LINK+:P_LINK];
  assign fold_ends = OUTPUT_STATIONARY & PRELOAD ? &corner_sum[P_LINK-1-:2] :
      corner_moving[M_LINK-1] & corner_moving[M_LINK-4];
  assign first_arrives = moving[M_LINK-1] | stationary[S_LINK-1];

  // --- streams
  // ------------------------------------------------------------------------------------------
  logic [DIM_BITS-1:0] stream_step, stream_k_step, stream_length;
  logic stream_issue, stream_first, stream_last, stream_pass, stream_ends_fold;
  logic stream_done, stream_iterator_pass;
  logic [DIM_BITS-1:0] stream_m, stream_n, stream_k, stream_offset;
  logic [DIM_BITS-1:0] stream_group;
  logic stream_opens, stream_closes;
  fold_iterator #(
      .ROWS(ROWS), .COLS(COLS), .OUTPUT_STATIONARY(OUTPUT_STATIONARY), .DIM_BITS(DIM_BITS)) stream (
      .clk(clk), .rst(rst), .en(en), .restart(start), .advance(stream_ends_fold), .size_m(size_m),
      .size_n(size_n), .group_length(group_length), .groups(groups), .two_passes(two_passes),
      .done(stream_done), .m_base(stream_m), .n_base(stream_n), .group(stream_group),
      .k_base(stream_k),
      .k_offset(stream_offset), .pass(stream_iterator_pass), .opens_group(stream_opens),
      .closes_group(stream_closes));
  // Output stationary takes the passes of a step one after the other.
  logic step_ends;
  assign stream_length = OUTPUT_STATIONARY ? group_length : size_m;
  assign step_ends = ~(OUTPUT_STATIONARY & two_passes) | stream_pass;
  assign stream_first = stream_step == '0 & ~stream_pass;
  assign stream_last = stream_step + ONE == stream_length & step_ends;
  assign stream_ends_fold = stream_issue & stream_last;
  assign stream_k_step = OUTPUT_STATIONARY ? stream_k + stream_step : stream_k;
  always_ff @(posedge clk) begin
    if (rst) begin
      stream_step <= '0;
      stream_pass <= 1'b0;
    end else if (en) begin
      if (start | stream_ends_fold) begin
        stream_step <= '0;
        stream_pass <= 1'b0;
      end else if (stream_issue) begin
        stream_pass <= ~step_ends;
        if (step_ends) stream_step <= stream_step + ONE;
      end
    end
  end

  // Moving operands, live inside the GEMM and the group.
  logic [ROWS*M_LINK-1:0] moving_issued, moving_skewed;
  assign moving_request = stream_issue;
  assign moving_m = OUTPUT_STATIONARY ? stream_m : stream_step;
  assign moving_k = stream_k_step;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : gen_moving
      if (OUTPUT_STATIONARY) assign moving_live[r] = stream_m + DIM_BITS'(r) < size_m;
      else assign moving_live[r] = stream_offset + DIM_BITS'(r) < group_length;
      assign moving_issued[r*M_LINK+:M_LINK] = {
          stream_issue, stream_issue & moving_live[r], stream_issue & stream_first,
          stream_issue & stream_last, moving_data[r*A_BITS+:A_BITS]};
      assign moving[r*(COLS+1)*M_LINK+:M_LINK] = moving_skewed[r*M_LINK+:M_LINK];
    end
  endgenerate
  skew_registers #(.LANES(ROWS), .WIDTH(M_LINK)) moving_skew (
      .clk(clk), .rst(rst), .en(en), .issued(moving_issued), .skewed(moving_skewed));

  // Stationary operands: the loader's words or the stream's.
  logic [COLS*S_LINK-1:0] stationary_issued, stationary_skewed;
  logic stationary_pass, stationary_row_live;
  generate
    for (c = 0; c < COLS; c = c + 1) begin : gen_stationary
      logic [CELL_W-1:0] word;
      assign stationary_live[c] = stationary_row_live & stationary_n + DIM_BITS'(c) < size_n;
      if (DESIGN == 1) begin : gen_slice
        // Low nibble unsigned, then the high one, signed and counting 16-fold; or one signed
        // nibble.
        logic [3:0] low, high;
        assign low = stationary_data[c*STATIONARY_DATA_BITS+:4];
        assign high = stationary_data[c*STATIONARY_DATA_BITS+4+:4];
        assign word = {two_passes & stationary_pass, ~two_passes | stationary_pass,
                       two_passes & stationary_pass ? high : low};
      end else begin : gen_whole
        logic unused;
        assign unused = stationary_pass;
        assign word = stationary_data[c*STATIONARY_DATA_BITS+:CELL_W];
      end
      assign stationary_issued[c*S_LINK+:S_LINK] = {
          stationary_request, stationary_request & stationary_live[c], word};
      assign stationary[c*S_LINK+:S_LINK] = stationary_skewed[c*S_LINK+:S_LINK];
    end
  endgenerate
  skew_registers #(.LANES(COLS), .WIDTH(S_LINK)) stationary_skew (
      .clk(clk), .rst(rst), .en(en), .issued(stationary_issued), .skewed(stationary_skewed));

  // --- when a fold may load or stream
  // ----------------------------------------------------------------
  generate
    if (!OUTPUT_STATIONARY) begin : gen_weight_stationary
      // The loader walks the folds ahead of the stream. `ahead`: folds loaded and not yet streamed.
      logic load_done, load_issue, load_ends, load_may_begin, load_pass;
      logic [DIM_BITS-1:0] load_n, load_k, load_offset, load_step, load_row;
      logic [1:0] ahead, ahead_after_stream;
      logic [DIM_BITS-1:0] unused_m, unused_group;
      logic unused_opens, unused_closes, unused;
      assign unused = ^{unused_m, unused_group, unused_opens, unused_closes, stream_iterator_pass,
                        stream_n, stream_m, stream_group, stream_opens, stream_closes, corner_sum};
      fold_iterator #(
          .ROWS(ROWS), .COLS(COLS), .OUTPUT_STATIONARY(1'b0), .DIM_BITS(DIM_BITS)) load (
          .clk(clk), .rst(rst), .en(en), .restart(start), .advance(load_ends), .size_m(size_m),
          .size_n(size_n), .group_length(group_length), .groups(groups), .two_passes(two_passes),
          .done(load_done), .m_base(unused_m), .n_base(load_n), .group(unused_group),
          .k_base(load_k),
          .k_offset(load_offset), .pass(load_pass), .opens_group(unused_opens),
          .closes_group(unused_closes));

      assign stream_issue = ~stream_done & ahead != 2'd0;
      assign ahead_after_stream = ahead - {1'b0, stream_ends_fold};
      // Preload: the holding registers are free once the fold before has begun to stream.
      if (PRELOAD) begin : gen_preload
        assign load_may_begin = ahead_after_stream == 2'd0 |
            (ahead_after_stream == 2'd1 & ~stream_ends_fold & (stream_issue | stream_step != '0));
      end else begin : gen_serial
        logic unfinished;  // a fold was loaded and is not yet through the far corner
        assign load_may_begin = ~unfinished | fold_ends;
        always_ff @(posedge clk) begin
          if (rst) unfinished <= 1'b0;
          else if (en) begin
            if (load_ends) unfinished <= 1'b1;
            else if (fold_ends) unfinished <= 1'b0;
          end
        end
      end
      assign load_issue = ~load_done & (load_step != '0 | load_may_begin);
      assign load_ends = load_issue & load_step + ONE == ROWS_D;
      always_ff @(posedge clk) begin
        if (rst) begin
          ahead     <= '0;
          load_step <= '0;
        end else if (en) begin
          ahead <= ahead_after_stream + {1'b0, load_ends};
          if (load_issue) load_step <= load_ends ? '0 : load_step + ONE;
        end
      end
      // The bottom row's weights go first.
      assign load_row = ROWS_D - ONE - load_step;
      assign stationary_request = load_issue;
      assign stationary_n = load_n;
      assign stationary_k = load_k + load_row;
      assign stationary_row_live = load_offset + load_row < group_length;
      assign stationary_pass = load_pass;
      // Partial sums start from zero at the top row.
      assign sum[COLS*P_LINK-1:0] = '0;
    end else begin : gen_output_stationary
      logic may_begin;
      logic unused;
      assign unused = ^{stream_offset, stream_iterator_pass, stream_group, stream_opens,
                        stream_closes, fold_ends, corner_sum[ACC_BITS-1:0]};
      assign stream_issue = ~stream_done & (~stream_first | may_begin);
      assign stationary_request = stream_issue;
      assign stationary_n = stream_n;
      assign stationary_k = stream_k_step;
      assign stationary_row_live = 1'b1;
      assign stationary_pass = stream_pass;
      if (PRELOAD) begin : gen_preload
        // ROWS edges between two captures: the column drains one word an edge.
        logic [DIM_BITS-1:0] since_begin, since_next, drain_left;
        logic drain_waits, drain_issue, drain_last;
        logic [COLS*2-1:0] drain_issued, drain_skewed;
        assign since_next = since_begin == ROWS_D ? ROWS_D : since_begin + ONE;
        assign may_begin = since_next == ROWS_D;
        // Shifts begin at the edge after a fold's last step.
        assign drain_issue = drain_waits | drain_left != '0;
        assign drain_last = drain_waits ? ROWS == 1 : drain_left == ONE;
        always_ff @(posedge clk) begin
          if (rst) begin
            since_begin <= ROWS_D;
            drain_left  <= '0;
            drain_waits <= 1'b0;
          end else if (en) begin
            since_begin <= start ? ROWS_D : stream_issue & stream_first ? '0 : since_next;
            drain_waits <= stream_ends_fold;
            if (drain_waits) drain_left <= ROWS_D - ONE;
            else if (drain_left != '0) drain_left <= drain_left - ONE;
          end
        end
        for (c = 0; c < COLS; c = c + 1) begin : gen_drain
          assign drain_issued[2*c+:2] = {drain_issue, drain_issue & drain_last};
          assign sum[c*P_LINK+:P_LINK] = {drain_skewed[2*c+:2], {ACC_BITS{1'b0}}};
        end
        skew_registers #(.LANES(COLS), .WIDTH(2)) drain_skew (
            .clk(clk), .rst(rst), .en(en), .issued(drain_issued), .skewed(drain_skewed));
      end else begin : gen_serial
        logic streaming;  // a fold is in the array
        assign may_begin = ~streaming | fold_ends;
        always_ff @(posedge clk) begin
          if (rst) streaming <= 1'b0;
          else if (en) begin
            if (stream_issue) streaming <= 1'b1;
            else if (fold_ends) streaming <= 1'b0;
          end
        end
        assign sum[COLS*P_LINK-1:0] = '0;
      end
    end
  endgenerate

  // --- results: a collector a column, each walking the folds by itself
  // ----------------------------------
  logic [COLS-1:0] column_done;
  generate
    for (c = 0; c < COLS; c = c + 1) begin : gen_collector
      logic word_valid, in_output, ends_fold, opens, closes;
      logic [ACC_BITS-1:0] word;
      logic [DIM_BITS-1:0] step, steps, m_base, n_base, group, row, m, n;
      logic [DIM_BITS-1:0] unused_k, unused_offset;
      logic unused_pass, unused;
      assign unused = ^{unused_k, unused_offset, unused_pass, opens, closes};
      fold_iterator #(
          .ROWS(ROWS), .COLS(COLS), .OUTPUT_STATIONARY(OUTPUT_STATIONARY),
          .DIM_BITS(DIM_BITS)) folds (
          .clk(clk), .rst(rst), .en(en), .restart(start), .advance(ends_fold), .size_m(size_m),
          .size_n(size_n), .group_length(group_length), .groups(groups), .two_passes(two_passes),
          .done(column_done[c]), .m_base(m_base), .n_base(n_base), .group(group), .k_base(unused_k),
          .k_offset(unused_offset), .pass(unused_pass), .opens_group(opens), .closes_group(closes));
      assign steps = OUTPUT_STATIONARY ? ROWS_D : size_m;
      assign ends_fold = word_valid & step + ONE == steps;
      always_ff @(posedge clk) begin
        if (rst) step <= '0;
        else if (en & (start | word_valid)) step <= start | ends_fold ? '0 : step + ONE;
      end
      assign n = n_base + DIM_BITS'(c);
      assign in_output = word_valid & m < size_m & n < size_n;
      assign result_m[c*DIM_BITS+:DIM_BITS] = m;
      assign result_n[c*DIM_BITS+:DIM_BITS] = n;
      assign result_group[c*DIM_BITS+:DIM_BITS] = group;
      if (!OUTPUT_STATIONARY) begin : gen_accumulate
        localparam int PLACE = ACC_DEPTH > 1 ? $clog2(ACC_DEPTH) : 1;
        logic [ACC_BITS-1:0] accumulators[ACC_DEPTH];
        logic [ACC_BITS-1:0] total;
        logic unused_row;
        assign unused_row = ^{row, m_base, sum[(ROWS*COLS+c)*P_LINK+ACC_BITS]};
        assign row = step;
        assign m = step;
        assign {word_valid, word} = {
            sum[(ROWS*COLS+c)*P_LINK+ACC_BITS+1], sum[(ROWS*COLS+c)*P_LINK+:ACC_BITS]};
        // A group's first fold overwrites, the others add.
        assign total = opens ? word : accumulators[step[PLACE-1:0]] + word;
        always_ff @(posedge clk) if (en & in_output) accumulators[step[PLACE-1:0]] <= total;
        assign result_valid[c] = in_output & closes;
        assign result[c*ACC_BITS+:ACC_BITS] = total;
      end else begin : gen_collect
        assign m = m_base + row;
        assign result_valid[c] = in_output;
        assign result[c*ACC_BITS+:ACC_BITS] = word;
        if (PRELOAD) begin : gen_bottom
          // A column drains from the bottom row up.
          logic unused_last;
          assign unused_last = sum[(ROWS*COLS+c)*P_LINK+ACC_BITS];
          assign row = ROWS_D - ONE - step;
          assign {word_valid, word} = {
              sum[(ROWS*COLS+c)*P_LINK+ACC_BITS+1], sum[(ROWS*COLS+c)*P_LINK+:ACC_BITS]};
        end else begin : gen_in_place
          // One element of a column finishes at a time, in row order: their buses are one OR.
          assign row = step;
          integer i;
          always_comb begin
            word_valid = 1'b0;
            word = '0;
            for (i = 1; i <= ROWS; i = i + 1) begin
              word_valid = word_valid | sum[(i*COLS+c)*P_LINK+ACC_BITS+1];
              word = word | (sum[(i*COLS+c)*P_LINK+:ACC_BITS] &
                             {ACC_BITS{sum[(i*COLS+c)*P_LINK+ACC_BITS+1]}});
            end
          end
        end
      end
    end
  endgenerate

  // --- busy: from the first operand at element (0, 0) to the last mark at the far corner
  // -------------------
  logic running, started, last_of_all;
  logic [DIM_BITS-1:0] folds_in_flight;
  logic issue_begins;
  assign issue_begins = stream_issue & stream_first;
  // Begun and not yet ended, so that 0 after the last fold has streamed means the end.
  assign last_of_all = fold_ends & stream_done & folds_in_flight == ONE;
  assign busy = running | (started & first_arrives);
  assign done = ~started & (&column_done);
  always_ff @(posedge clk) begin
    if (rst) begin
      running         <= 1'b0;
      started         <= 1'b0;
      folds_in_flight <= '0;
    end else if (en) begin
      folds_in_flight <= folds_in_flight + {{(DIM_BITS - 1) {1'b0}}, issue_begins} -
          {{(DIM_BITS - 1) {1'b0}}, fold_ends};
      if (start) started <= 1'b1;
      else if (last_of_all) started <= 1'b0;
      if (last_of_all) running <= 1'b0;
      else if (started & first_arrives) running <= 1'b1;
    end
  end
  logic unused_edges;
  assign unused_edges = ^{moving, stationary, sum};
endmodule
