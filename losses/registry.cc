#include "losses/method.h"

namespace distil {

#define METHOD(name, object) extern const Method object;
#include "losses/methods.def"
#undef METHOD

std::span<const Method* const> AllMethods() {
  static constexpr const Method* methods[] = {
#define METHOD(name, object) &object,
#include "losses/methods.def"
#undef METHOD
  };
  return methods;
}

const Method* FindMethod(std::string_view name) {
  for (const Method* m : AllMethods())
    if (m->name == name) return m;
  return nullptr;
}

}  // namespace distil
