// What clang_sm_80.ptx is compiled from: plain C with attributes, with debugging sections.
__attribute__((address_space(3))) static float tile[16][17];
__attribute__((address_space(1))) int values[8] = {1, 2, 3};
__attribute__((address_space(4))) const float factors[2][2] = {{1.0f, 2.0f}, {3.0f, 4.0f}};

struct Entry {
    int *place;
    char kind;
} entry = {(int *)&values[2], 3};

int *address(int k) { return (int *)&values[1] + k; }

__attribute__((noinline)) int apply(int a, int (*f)(int)) { return f(a) + 1; }

__attribute__((nvptx_kernel)) void add(__attribute__((address_space(1))) float *x, __attribute__((address_space(1))) float *y, int n) {
    int i = __nvvm_read_ptx_sreg_tid_x() + __nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x();
    if (i < n) {
        tile[i & 15][i & 7] = x[i];
        __syncthreads();
        y[i] = tile[(i + 1) & 15][i & 7] + factors[n & 1][1] + *address(n) + entry.kind + *entry.place;
    }
}
