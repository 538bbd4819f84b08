// Calls of functions that are known only at run time.

#define ID (blockIdx.x * blockDim.x + threadIdx.x)

__device__ __noinline__ unsigned twice(unsigned x) { return x * 2; }
__device__ __noinline__ unsigned square(unsigned x) { return x * x; }
__device__ __noinline__ unsigned collatz(unsigned x) {
    unsigned n = 0;
    while (x > 1) x = x % 2 ? 3 * x + 1 : x / 2, ++n;
    return n;
}

extern "C" __global__ void function_pointers(unsigned *out) {
    unsigned (*const table[])(unsigned) = {twice, square, collatz};
    unsigned t = ID;
    out[t] = table[t % 3](t + 1);
}

struct Shape {
    int kind;
    double size;
    float sides[3];
    __device__ virtual float area() const { return 0; }
};

struct Square : Shape {
    __device__ float area() const override { return sides[0] * sides[0]; }
};

struct Box : Shape {
    __device__ float area() const override { return sides[0] * sides[1] * sides[2]; }
};

extern "C" __global__ void virtual_calls(float *out) {
    Square square;
    Box box;
    unsigned t = ID;
    square.sides[0] = t, box.sides[0] = t, box.sides[1] = 2, box.sides[2] = 3;
    Shape *shape = t % 2 ? static_cast<Shape *>(&square) : &box;
    out[t] = shape->area();
}
