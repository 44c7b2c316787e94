// Declares what an op's ports.def says. Each kernel.cpp includes this once, inside its namespace:
//
//   #define I2F_PORTS "linear/norm_projection/ports.def"
//   #include "native/ort/op_ports.hpp"
//
// and has then, for a file with ATTRIBUTE(epsilon, float32), SIZE(N), SIZE(C), INPUT(x, float32, N, C) and
// OUTPUT(y, float32, N, C):
//
//   const Attributes attributes(info);                 // attributes.epsilon
//   Inputs in(context, attributes);                    // checked: in.x, in.N, in.C, and in.epsilon, too
//   const Outputs out(context, in);                    // allocated: out.y
//   input::x                                           // 0, the number of the input
//   ports::kPorts                                      // for the OpDefinition
//
// In a ports.def, SIZE(N) names a size. It becomes known from the first dimension N, or multiple of it like 3*N, that
// arrives, and has to agree with all others; the kernel gives those to `in` that only it can know, before it makes the
// outputs. LET(heads, num_heads) gives a dimension another name. A dimension is a size, an attribute, a name from LET,
// a number, or of the forms 3*D, h*w, D/num_heads, D/4 and D/num_heads/4. A line holds one entry; a comment behind it
// says what it means. registry.py reads the file, too.

#define SIZE(name)
#define LET(name, dim)
#define ATTRIBUTE(name, type)
#define INPUT(name, type, ...)
#define OUTPUT(name, type, ...)

namespace size {
enum : int {
#undef SIZE
#undef ATTRIBUTE
#define SIZE(name) name,
#define ATTRIBUTE(name, type) name,
#include I2F_PORTS
#undef SIZE
#undef ATTRIBUTE
#define SIZE(name)
#define ATTRIBUTE(name, type)
  kCount
};
}  // namespace size

namespace input {
enum : size_t {
#undef INPUT
#define INPUT(name, type, ...) name,
#include I2F_PORTS
#undef INPUT
#define INPUT(name, type, ...)
  kCount
};
}  // namespace input

namespace output {
enum : size_t {
#undef OUTPUT
#define OUTPUT(name, type, ...) name,
#include I2F_PORTS
#undef OUTPUT
#define OUTPUT(name, type, ...)
  kCount
};
}  // namespace output

namespace ports {

#undef SIZE
#undef LET
#undef ATTRIBUTE
#define SIZE(name) constexpr Dim name = Dim::size(size::name);
#define LET(name, dim) constexpr Dim name = dim;
#define ATTRIBUTE(name, type) SIZE(name)
#include I2F_PORTS
#undef SIZE
#undef LET
#undef ATTRIBUTE
#define SIZE(name)
#define LET(name, dim)
#define ATTRIBUTE(name, type)

constexpr Port kInputs[] = {
#undef INPUT
#define INPUT(name, type, ...) Port(#name, Element::type, {__VA_ARGS__}, #__VA_ARGS__),
#include I2F_PORTS
#undef INPUT
#define INPUT(name, type, ...)
};

constexpr Port kOutputs[] = {
#undef OUTPUT
#define OUTPUT(name, type, ...) Port(#name, Element::type, {__VA_ARGS__}, #__VA_ARGS__),
#include I2F_PORTS
#undef OUTPUT
#define OUTPUT(name, type, ...)
};

constexpr Ports kPorts = {kInputs, input::kCount, kOutputs, output::kCount};

}  // namespace ports

struct Attributes {
#undef ATTRIBUTE
#define ATTRIBUTE(name, type) elements::type name = 0;
#include I2F_PORTS

  explicit Attributes(const KernelInfo& info) {
    (void)info;  // of an op without attributes
#undef ATTRIBUTE
#define ATTRIBUTE(name, type) info.attribute(#name, &name);
#include I2F_PORTS
#undef ATTRIBUTE
#define ATTRIBUTE(name, type)
  }
};

struct Inputs : Attributes {
#undef SIZE
#undef INPUT
#define SIZE(name) int64_t name = kUnknown;
#define INPUT(name, type, ...) const elements::type* name = nullptr;
#include I2F_PORTS
#undef SIZE
#undef INPUT
#define SIZE(name)
#define INPUT(name, type, ...)

  // Without any input.
  explicit Inputs(const Attributes& attributes) : Attributes(attributes) {}
  // The inputs of a run. Throws Error if they do not fit the ports.
  Inputs(const Context& context, const Attributes& attributes) : Attributes(attributes) {
    Found found(*this);
    context.inputs(found.data, found.sizes);
    take(found);
  }
  // Takes the inputs first .. last if they are constants of the graph that fit together. What is wrong with them is
  // said when the kernel runs.
  bool take_constants(const KernelInfo& info, size_t first, size_t last) {
    Found found(*this);
    if (!info.constant_inputs(first, last, found.data, found.sizes)) return false;
    take(found);
    return true;
  }

  // The sizes in the order of namespace size, and the data in that of namespace input.
  struct Found {
    explicit Found(const Inputs& in)
        : sizes{
#undef SIZE
#undef ATTRIBUTE
#define SIZE(name) in.name,
#define ATTRIBUTE(name, type) as_size(in.name),
#include I2F_PORTS
#undef SIZE
#undef ATTRIBUTE
#define SIZE(name)
#define ATTRIBUTE(name, type)
          } {}

    int64_t sizes[size::kCount];
    const void* data[input::kCount] = {};
  };

 private:
  void take(const Found& found) {
#undef SIZE
#undef INPUT
#define SIZE(name) name = found.sizes[size::name];
#define INPUT(name, type, ...) name = static_cast<const elements::type*>(found.data[input::name]);
#include I2F_PORTS
#undef SIZE
#undef INPUT
#define SIZE(name)
#define INPUT(name, type, ...)
  }
};

struct Outputs {
#undef OUTPUT
#define OUTPUT(name, type, ...) elements::type* name = nullptr;
#include I2F_PORTS

  Outputs(const Context& context, const Inputs& in) {
    const Inputs::Found known(in);
#undef OUTPUT
#define OUTPUT(name, type, ...) name = static_cast<elements::type*>(context.output(output::name, known.sizes));
#include I2F_PORTS
  }
};

#undef SIZE
#undef LET
#undef ATTRIBUTE
#undef INPUT
#undef OUTPUT
#undef I2F_PORTS
