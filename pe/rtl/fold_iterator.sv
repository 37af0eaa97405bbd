// Walks the folds of a GEMM, one array-sized piece each, in the order of the clocked model: output
// row tiles (output stationary), column tiles, groups along K, pieces of a group and passes (weight
// stationary). `advance` moves to the next fold at an enabled edge, `restart` to the first. Source:
// pe/array_core.hpp, folds_of.
module fold_iterator #(
    parameter int ROWS              = 4,
    parameter int COLS              = 4,
    parameter bit OUTPUT_STATIONARY = 1'b0,
    parameter int DIM_BITS          = 16
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                en,
    input  logic                restart,
    input  logic                advance,
    input  logic [DIM_BITS-1:0] size_m,
    input  logic [DIM_BITS-1:0] size_n,
    input  logic [DIM_BITS-1:0] group_length,
    input  logic [DIM_BITS-1:0] groups,
    input  logic                two_passes,
    output logic                done,          // all folds were walked
    output logic [DIM_BITS-1:0] m_base,        // first row; 0 in weight stationary
    output logic [DIM_BITS-1:0] n_base,        // first column
    output logic [DIM_BITS-1:0] group,
    output logic [DIM_BITS-1:0] k_base,        // first k of the piece
    output logic [DIM_BITS-1:0] k_offset,      // the same, from the group's begin
    output logic                pass,
    output logic                opens_group,
    output logic                closes_group
);
  localparam logic [DIM_BITS-1:0] ROW_STEP = DIM_BITS'(ROWS);
  localparam logic [DIM_BITS-1:0] COL_STEP = DIM_BITS'(COLS);
  localparam logic [DIM_BITS-1:0] ONE = DIM_BITS'(1);

  logic [DIM_BITS-1:0] group_begin, k_next, n_next, m_next;
  logic last_pass, last_piece, last_group, last_column, last_row;
  assign k_next      = k_offset + ROW_STEP;
  assign n_next      = n_base + COL_STEP;
  assign m_next      = m_base + ROW_STEP;
  assign last_pass   = OUTPUT_STATIONARY | ~two_passes | pass;
  assign last_piece  = OUTPUT_STATIONARY | k_next >= group_length;
  assign last_group  = group + ONE == groups;
  assign last_column = n_next >= size_n;
  assign last_row    = ~OUTPUT_STATIONARY | m_next >= size_m;
  assign k_base       = group_begin + k_offset;
  assign opens_group  = k_offset == '0 & ~pass;
  assign closes_group = last_pass & last_piece;

  always_ff @(posedge clk) begin
    if (rst) begin
      done        <= 1'b1;
      m_base      <= '0;
      n_base      <= '0;
      group       <= '0;
      group_begin <= '0;
      k_offset    <= '0;
      pass        <= 1'b0;
    end else if (en) begin
      if (restart) begin
        done        <= 1'b0;
        m_base      <= '0;
        n_base      <= '0;
        group       <= '0;
        group_begin <= '0;
        k_offset    <= '0;
        pass        <= 1'b0;
      end else if (advance) begin
        if (!last_pass) pass <= 1'b1;
        else begin
          pass <= 1'b0;
          if (!last_piece) k_offset <= k_next;
          else begin
            k_offset <= '0;
            if (!last_group) begin
              group       <= group + ONE;
              group_begin <= group_begin + group_length;
            end else begin
              group       <= '0;
              group_begin <= '0;
              if (!last_column) n_base <= n_next;
              else begin
                n_base <= '0;
                if (!last_row) m_base <= m_next;
                else done <= 1'b1;
              end
            end
          end
        end
      end
    end
  end
endmodule
